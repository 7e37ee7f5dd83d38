import { statfs } from 'node:fs/promises';
import { freemem, loadavg } from 'node:os';
import { join } from 'node:path';
import { readKernelFile } from './kernel-file.ts';
import type { MemoryLimit } from './memory-limit.ts';

/** How busy this machine is, as its kernel says. */
export interface MachineLoad {
  /** Builds running. */
  running: number;
  loadAverage: number;
  /** Percent of the last 10 s in which some task waited for a processor (Linux PSI). */
  cpuPressure?: number;
  /** Likewise for memory: it was being reclaimed or read back. */
  memoryPressure?: number;
  /** What new processes may take without anything being swapped out. */
  memoryAvailableBytes: number;
  /** Free on the disk of the store. */
  diskAvailableBytes: number;
}

export interface Places {
  /** procfs, where it is not /proc. */
  procDir?: string;
  /** Nix's store, where it is not /nix/store. */
  storeDir?: string;
}

/** Reads the kernel's figures; what a kernel does not tell (PSI on macOS) is left out. */
export async function measureLoad(
  running: number,
  limit: MemoryLimit | undefined,
  { procDir = '/proc', storeDir = '/nix/store' }: Places = {},
): Promise<MachineLoad> {
  const [cpuPressure, memoryPressure, available, disk] = await Promise.all([
    someAvg10(join(procDir, 'pressure/cpu')),
    someAvg10(join(procDir, 'pressure/memory')),
    memoryAvailable(procDir),
    statfs(storeDir).catch(() => undefined),
  ]);
  return {
    running,
    loadAverage: loadavg()[0] ?? 0,
    ...(cpuPressure === undefined ? {} : { cpuPressure }),
    ...(memoryPressure === undefined ? {} : { memoryPressure }),
    memoryAvailableBytes: Math.min(available, limit?.availableBytes ?? available),
    diskAvailableBytes: disk === undefined ? 0 : disk.bavail * disk.bsize,
  };
}

/** Processes the kernel has killed for want of memory since it started, a control group's included; undefined where it does not count. */
export async function oomKills({ procDir = '/proc' }: Places = {}): Promise<number | undefined> {
  const count = /^oom_kill (\d+)$/m.exec((await readKernelFile(join(procDir, 'vmstat'))) ?? '')?.[1];
  return count === undefined ? undefined : Number(count);
}

/** Pressure stall information: `some avg10=1.53 avg60=0.87 avg300=0.45 total=2354732`. */
async function someAvg10(path: string): Promise<number | undefined> {
  const percent = /^some avg10=([\d.]+)/m.exec((await readKernelFile(path)) ?? '')?.[1];
  return percent === undefined ? undefined : Math.min(100, Number(percent));
}

async function memoryAvailable(procDir: string): Promise<number> {
  const text = await readKernelFile(join(procDir, 'meminfo'));
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(text ?? '')?.[1];
  return kib === undefined ? freemem() : Number(kib) * 1024;
}
