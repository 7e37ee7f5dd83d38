import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import type { NixSystemInfo } from '@mesh/nix';

/** What this machine can build: detected, not configured. */
export interface MachineCapability {
  /** Native first, then `extra-platforms` (emulated by binfmt or run by the processor itself). */
  systems: string[];
  systemFeatures: string[];
  cores: number;
  slots: number;
  memoryBytes: number;
  nixVersion: string;
}

/** How busy this machine is, as its kernel says. */
export interface MachineLoad {
  running: number;
  loadAverage: number;
  /** Percent of the last 10 s in which some task waited for a processor (Linux PSI). */
  cpuPressure?: number;
  memoryAvailableBytes: number;
  diskAvailableBytes: number;
}

/** @param slots builds at once, if the configuration says; else Nix's own `max-jobs`. */
export function capabilityOf(info: NixSystemInfo, slots: number | undefined): MachineCapability {
  return {
    systems: [info.system, ...info.extraPlatforms.filter((system) => system !== info.system)],
    systemFeatures: [...info.systemFeatures].sort(),
    cores: availableParallelism(),
    slots: slots ?? info.maxJobs,
    memoryBytes: totalmem(),
    nixVersion: info.version,
  };
}

/** Reads the kernel's figures; what a kernel does not tell (PSI on macOS) is left out. */
export async function measureLoad(running: number): Promise<MachineLoad> {
  const [cpuPressure, memoryAvailableBytes, disk] = await Promise.all([
    readCpuPressure(),
    readMemoryAvailable(),
    statfs('/nix/store').catch(() => undefined),
  ]);
  return {
    running,
    loadAverage: loadavg()[0] ?? 0,
    ...(cpuPressure === undefined ? {} : { cpuPressure }),
    memoryAvailableBytes,
    diskAvailableBytes: disk === undefined ? 0 : disk.bavail * disk.bsize,
  };
}

async function readCpuPressure(): Promise<number | undefined> {
  const text = await readIfThere('/proc/pressure/cpu');
  const percent = /^some avg10=([\d.]+)/m.exec(text ?? '')?.[1];
  return percent === undefined ? undefined : Number(percent);
}

async function readMemoryAvailable(): Promise<number> {
  const text = await readIfThere('/proc/meminfo');
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(text ?? '')?.[1];
  return kib === undefined ? freemem() : Number(kib) * 1024;
}

/** Kernels without the file, or that refuse to read it (PSI switched off answers EOPNOTSUPP), simply have no such figure. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}
