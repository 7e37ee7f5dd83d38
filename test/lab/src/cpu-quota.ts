import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Availability } from './available.ts';
import { CPU_PERIOD_US, MIN_CPU_QUOTA_US } from './constants.ts';
import { LabError } from './errors.ts';
import { processesUnder } from './processes.ts';

const V1_ROOT = '/sys/fs/cgroup/cpu';
const V2_ROOT = '/sys/fs/cgroup';

/** Whether this machine lets us limit a host's processor time, by control groups of either version. */
export function cpuQuotaAvailable(): Availability {
  return rootOf() === undefined
    ? { ok: false, reason: 'there is no cgroup processor controller to use (neither version 1 nor 2)' }
    : { ok: true };
}

/** The `cgroup.procs` a process of a limited host must enter; undefined for a host without a limit. */
export function cgroupProcsOf(lab: string, host: string): string | undefined {
  const root = rootOf();
  if (root === undefined) return undefined;
  const path = join(groupDir(root, lab, host), 'cgroup.procs');
  return existsSync(path) ? path : undefined;
}

/** Every control group of a lab. */
export function cgroupsOf(lab: string): string[] {
  const root = rootOf();
  if (root === undefined) return [];
  const prefix = `mesh-lab-${lab}.`;
  return readdirSync(root)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(root, name));
}

/**
 * Gives all processes of a host together `processors` of processor time (0.5 is half of one), now and later.
 * @throws {LabError} `LAB_NO_CPU_QUOTA` where the machine has no usable controller.
 */
export function limitCpu(lab: string, host: string, init: number, processors: number): void {
  const available = cpuQuotaAvailable();
  if (!available.ok)
    throw new LabError('LAB_NO_CPU_QUOTA', `A host cannot be slowed here: ${available.reason}.`);
  const root = rootOf()!;
  const group = groupDir(root, lab, host);
  mkdirSync(group, { recursive: true });
  const quotaUs = Math.max(MIN_CPU_QUOTA_US, Math.round(processors * CPU_PERIOD_US));
  if (root === V1_ROOT) {
    writeFileSync(join(group, 'cpu.cfs_period_us'), String(CPU_PERIOD_US));
    writeFileSync(join(group, 'cpu.cfs_quota_us'), String(quotaUs));
  } else {
    writeFileSync(join(group, 'cpu.max'), `${quotaUs} ${CPU_PERIOD_US}`);
  }
  moveAll(join(group, 'cgroup.procs'), init);
}

// A process may fork while others are moved: until a look finds nobody outside.
function moveAll(procs: string, init: number): void {
  for (;;) {
    const inside = new Set(readFileSync(procs, 'utf8').split('\n').map(Number));
    const outside = processesUnder(init).filter(({ pid }) => !inside.has(pid));
    if (outside.length === 0) return;
    for (const { pid } of outside) {
      try {
        writeFileSync(procs, String(pid));
      } catch (error) {
        // Ended meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }
}

function groupDir(root: string, lab: string, host: string): string {
  return join(root, `mesh-lab-${lab}.${host}`);
}

function rootOf(): string | undefined {
  if (existsSync(join(V1_ROOT, 'cpu.cfs_quota_us')) || existsSync(join(V1_ROOT, 'tasks'))) return V1_ROOT;
  const control = join(V2_ROOT, 'cgroup.subtree_control');
  if (!existsSync(control)) return undefined;
  if (readFileSync(control, 'utf8').split(/\s+/).includes('cpu')) return V2_ROOT;
  try {
    writeFileSync(control, '+cpu');
    return V2_ROOT;
  } catch (error) {
    // The controller is held elsewhere (version 1), or this is a container's subtree with processes of its own.
    if (
      !['EINVAL', 'ENOENT', 'EBUSY', 'EACCES', 'EPERM', 'EROFS'].includes(
        (error as NodeJS.ErrnoException).code ?? '',
      )
    )
      throw error;
    return undefined;
  }
}
