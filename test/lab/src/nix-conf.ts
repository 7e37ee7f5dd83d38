import type { LabOptions } from './lab.ts';

/** `/etc/nix/nix.conf` of a host: a sandboxed multi-user Nix that asks nobody outside. */
export function nixConf({ slots = 2, sandboxPaths = [], nixConf: extra = '' }: LabOptions): string {
  return `build-users-group = nixbld
sandbox = true
sandbox-paths = ${['/bin/sh=/usr/bin/busybox', ...sandboxPaths].join(' ')}
substituters =
trusted-users = root
experimental-features = nix-command flakes
max-jobs = ${slots}
cores = 1
${extra}`;
}
