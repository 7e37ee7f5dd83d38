import { availableParallelism } from 'node:os';
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

/**
 * @param slots builds at once, if the configuration says; else Nix's own `max-jobs`
 * @param memoryBytes what the machine has, or its builds may take
 */
export function capabilityOf(
  info: NixSystemInfo,
  slots: number | undefined,
  memoryBytes: number,
): MachineCapability {
  return {
    systems: [info.system, ...info.extraPlatforms.filter((system) => system !== info.system)],
    systemFeatures: [...info.systemFeatures].sort(),
    cores: availableParallelism(),
    slots: slots ?? info.maxJobs,
    memoryBytes,
    nixVersion: info.version,
  };
}
