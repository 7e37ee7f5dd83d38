import { spawnSync } from 'node:child_process';
import { LabError } from './errors.ts';
import { IMAGES, type Image, imageIsThere } from './images.ts';

export type Availability = { readonly ok: true } | { readonly ok: false; readonly reason: string };

const NAMESPACES = ['--mount', '--net', '--pid', '--uts', '--ipc', '--fork', '--kill-child'];

/** Everything a lab needs of the kernel, done once where it vanishes with the namespace. */
const PROBE = `set -e
mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir lower upper work root
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
ip link add probe0 type bridge && ip link add probe1 type veth peer name probe2`;

let kernel: Availability | undefined;

/** Whether a lab of hosts made of `images` can be brought up here, and what stands in the way. */
export function labAvailable(images: readonly Image[] = ['sid']): Availability {
  kernel ??= probeKernel();
  if (!kernel.ok) return kernel;
  const missing = images.filter((image) => !imageIsThere(image));
  if (missing.length > 0) {
    const purpose = missing.length === 1 && missing[0] === 'sid' ? 'lab' : 'test';
    return no(`the image ${missing.join(', ')} is missing: run \`node scripts/setup.mjs ${purpose}\``);
  }
  return { ok: true };
}

/**
 * For tests: undefined where a lab can run, else the reason to skip by (`describe.skipIf(requireLab())`).
 * Where `CI` is set nothing may be skipped.
 * @throws {LabError} `LAB_UNAVAILABLE` where `CI` is set and a lab cannot run.
 */
export function requireLab(images: readonly Image[] = IMAGES): string | undefined {
  const available = labAvailable(images);
  if (available.ok) return undefined;
  if (process.env.CI) {
    throw new LabError(
      'LAB_UNAVAILABLE',
      `The lab cannot run here and CI must not skip it: ${available.reason}.`,
    );
  }
  return available.reason;
}

/** For tests of hosts with systemd: undefined where they can run, else the reason to skip by, also where `CI` is set. */
export function withoutSystemd(): string | undefined {
  const script = 'mount -t cgroup2 cgroup2 /mnt && mkdir "/mnt/$1" && rmdir "/mnt/$1"';
  const name = `mesh-lab-probe.${process.pid}`;
  const { status, stderr } = spawnSync('unshare', ['--mount', 'sh', '-ec', script, 'sh', name], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `control groups of version 2 cannot be made here (${stderr.trim()})`;
}

function probeKernel(): Availability {
  if (process.platform !== 'linux') return no('it needs Linux');
  if (process.getuid?.() !== 0) return no('it needs root');
  const probe = spawnSync('unshare', [...NAMESPACES, 'sh', '-c', PROBE], { encoding: 'utf8' });
  if (probe.error) return no(`unshare (util-linux) does not run: ${probe.error.message}`);
  if (probe.status !== 0) {
    const said = probe.stderr.trim().split('\n').at(-1) ?? '';
    return no(`this machine does not allow namespaces, overlayfs or virtual network devices (${said})`);
  }
  return { ok: true };
}

function no(reason: string): Availability {
  return { ok: false, reason };
}
