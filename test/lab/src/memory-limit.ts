import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Availability } from './available.ts';
import { controlGroup, controllerAvailable, moveIn } from './control-groups.ts';
import { LabError } from './errors.ts';

/** Whether this machine lets us limit a host's memory. */
export function memoryLimitAvailable(): Availability {
  return controllerAvailable('memory');
}

/** Shows the host's own control groups inside it, read-only, as in a container: what runs there can know its limit. */
export const SHOW_CONTROL_GROUPS = {
  1: `mountpoint -q /sys/fs/cgroup/memory && exit
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory
mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory && mount -o remount,bind,ro /sys/fs/cgroup/memory`,
  2: `mountpoint -q /sys/fs/cgroup && exit
mount -t cgroup2 cgroup /sys/fs/cgroup && mount -o remount,bind,ro /sys/fs/cgroup`,
} as const;

/**
 * Lets all processes of a host together take so many bytes of memory, now and later, and nothing of swap: beyond, the kernel kills the
 * largest. What they hold already does not count. Answers the version of control groups that does it.
 * @throws {LabError} `LAB_NO_MEMORY_LIMIT` where the machine has no usable controller.
 */
export function limitMemory(lab: string, host: string, init: number, bytes: number): 1 | 2 {
  const available = memoryLimitAvailable();
  if (!available.ok)
    throw new LabError('LAB_NO_MEMORY_LIMIT', `A host's memory cannot be limited here: ${available.reason}.`);
  const group = controlGroup('memory', lab, host)!;
  const [limit, swap, swapBytes] =
    group.version === 1
      ? (['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes', bytes] as const)
      : (['memory.max', 'memory.swap.max', 0] as const);
  writeFileSync(join(group.folder, limit), String(bytes));
  // A kernel without swap accounting has no such file.
  const swapFile = join(group.folder, swap);
  if (existsSync(swapFile)) writeFileSync(swapFile, String(swapBytes));
  moveIn(group, init);
  return group.version;
}
