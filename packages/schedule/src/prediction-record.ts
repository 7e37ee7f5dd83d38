import type { PeerId } from './types.ts';

/** One finished build, as history keeps it and members tell it each other. */
export interface BuildRecord {
  readonly name: string;
  readonly system: string;
  /** Where it was built. */
  readonly machine: PeerId;
  /** Who measured it (the home of its job); absent: nobody in particular. */
  readonly origin?: PeerId | undefined;
  /** When it ended: wall-clock milliseconds since the epoch. */
  readonly at: number;
  readonly wallMs: number;
  readonly outcome: 'built' | 'failed' | 'out-of-memory';
  /** What that machine was taken for at the time, emulation included, relative to an ordinary machine; absent: 1. */
  readonly speed?: number | undefined;
  /** The machine only emulates this system. */
  readonly emulated?: boolean | undefined;
  /** Cores it was given. */
  readonly cores?: number | undefined;
  readonly cpuMs?: number | undefined;
  readonly memoryPeakBytes?: number | undefined;
  readonly outputBytes?: number | undefined;
}

/** No build takes longer; a row that says so comes from a clock that jumped. */
export const MAX_BUILD_MS = 30 * 24 * 3_600_000;
/** Clocks of machines on a LAN may differ by this much; a row from further ahead is not believed. */
export const CLOCK_TOLERANCE_MS = 3_600_000;
/** A clock that says less was never set (September 2020). */
const EARLIEST_MS = 1_600_000_000_000;
/** Machines are not further from an ordinary one than this factor, either way, even emulating. */
export const MAX_SPEED = 1_000;

/** Whether a row can be true at all: absurd ones are ignored wherever they come from. `now`: wall-clock milliseconds. */
export function isPlausible(record: BuildRecord, now: number): boolean {
  const { wallMs, at, speed = 1, cores, cpuMs } = record;
  return (
    wallMs > 0 &&
    wallMs <= MAX_BUILD_MS &&
    at >= EARLIEST_MS &&
    at <= now + CLOCK_TOLERANCE_MS &&
    speed >= 1 / MAX_SPEED &&
    speed <= MAX_SPEED &&
    (cores === undefined || (cores >= 0 && cores <= 65_536)) &&
    (cpuMs === undefined || (cpuMs >= 0 && cpuMs <= MAX_BUILD_MS * 1_024)) &&
    notAbsurd(record.memoryPeakBytes) &&
    notAbsurd(record.outputBytes)
  );
}

function notAbsurd(bytes: number | undefined): boolean {
  return bytes === undefined || (bytes >= 0 && bytes <= Number.MAX_SAFE_INTEGER);
}
