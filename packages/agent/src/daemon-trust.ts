import { execFileSync } from 'node:child_process';
import { userInfo } from 'node:os';
import { DaemonClient } from '@mesh/nix';

/**
 * Whether this agent's daemon lets it build input-addressed derivations and import what it has verified itself.
 * @param trustedUsers `trusted-users` of nix.conf: for daemons before protocol 1.35, which do not say
 */
export async function probeTrust(
  options: { socketPath?: string },
  trustedUsers: readonly string[],
): Promise<DaemonClient['trust']> {
  const client = await DaemonClient.connect(options);
  try {
    if (client.trust !== 'unknown') return client.trust;
    return process.getuid?.() === 0 || isTrusted(trustedUsers, userInfo().username, ownGroups)
      ? 'trusted'
      : 'untrusted';
  } finally {
    client.close();
  }
}

/** As nix-daemon reads the list: names, `@group`, and `*` for everybody. */
export function isTrusted(
  trustedUsers: readonly string[],
  user: string,
  groups: () => readonly string[],
): boolean {
  if (trustedUsers.includes('*') || trustedUsers.includes(user)) return true;
  return (
    trustedUsers.some((name) => name.startsWith('@')) &&
    groups().some((name) => trustedUsers.includes(`@${name}`))
  );
}

/** Names of the groups of this process. */
function ownGroups(): string[] {
  return execFileSync('id', ['-Gn'], { encoding: 'utf8' }).trim().split(' ');
}
