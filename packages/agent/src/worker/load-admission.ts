/** What the kernel says of the load, and what of it is the mesh's own. */
export interface LoadFacts {
  /** Of a clock that never goes back. */
  readonly nowMs: number;
  readonly cores: number;
  /** Builds of the mesh that run here. */
  readonly running: number;
  /** PSI `some avg10`, percent; undefined where the kernel has none. */
  readonly cpuPressure: number | undefined;
  readonly memoryPressure: number | undefined;
  readonly memoryAvailableBytes: number;
  readonly memoryBytes: number;
}

export interface LoadLimits {
  /** Percent. */
  readonly cpuPressure: number;
  readonly memoryPressure: number;
}

/** A fact that must hold for a while to be believed, and its contrary too. */
interface Latch {
  readonly on: boolean;
  /** Since when everything speaks for the contrary. */
  readonly sinceMs: number | undefined;
}

export interface LoadAdmission {
  /** Somebody else than the mesh needs the processors. */
  readonly user: Latch;
  readonly memory: Latch;
  /** Since when the mesh itself has run little here: pressure that came before is its own. */
  readonly quietSinceMs: number | undefined;
}

/** A desktop's own life stays below; a compiler run by hand on all cores is above. */
export const DEFAULT_MAX_CPU_PRESSURE = 20;
export const DEFAULT_MAX_MEMORY_PRESSURE = 20;
/** `avg10` forgets a load of the mesh's own in two of its windows. */
const OWN_LOAD_FADES_MS = 20_000;
/** FASTBuild believes in an idle machine after five calm seconds; a user who pauses to read is not gone yet. */
const USER_BACK_AFTER_MS = 4_000;
const USER_GONE_AFTER_MS = 10_000;
const MEMORY_BACK_AFTER_MS = 5_000;
/** Incredibuild takes no work below 512 MiB free either; a large machine needs more air, a tiny one has less. */
const MEMORY_FLOOR_BYTES = 512 * 1024 * 1024;
const MEMORY_CEILING_BYTES = 2 * 1024 * 1024 * 1024;
const MEMORY_SHARE = 0.05;
const MEMORY_SHARE_OF_TINY = 0.25;
/** Memory counts as there again only with this much more than it was short at. */
const MEMORY_AGAIN = 1.25;

export function initialAdmission(): LoadAdmission {
  const off = { on: false, sinceMs: undefined };
  return { user: off, memory: off, quietSinceMs: undefined };
}

/** One more look at the load: whether its user has the machine for himself, and whether memory is short, both with hysteresis. */
export function admission(state: LoadAdmission, facts: LoadFacts, limits: LoadLimits): LoadAdmission {
  const { nowMs, running, cores, cpuPressure = 0, memoryPressure = 0, memoryAvailableBytes } = facts;
  const quietSinceMs = running > cores / 2 ? undefined : (state.quietSinceMs ?? nowMs);
  const foreign = quietSinceMs !== undefined && nowMs - quietSinceMs >= OWN_LOAD_FADES_MS;
  const short = memoryShortBelow(facts.memoryBytes);
  return {
    quietSinceMs,
    user: turn(state.user, nowMs, {
      on: foreign && cpuPressure > limits.cpuPressure,
      off: cpuPressure <= limits.cpuPressure / 2,
      onAfterMs: USER_BACK_AFTER_MS,
      offAfterMs: USER_GONE_AFTER_MS,
    }),
    memory: turn(state.memory, nowMs, {
      on: memoryPressure > limits.memoryPressure || memoryAvailableBytes < short,
      off: memoryPressure <= limits.memoryPressure / 2 && memoryAvailableBytes >= short * MEMORY_AGAIN,
      onAfterMs: 0,
      offAfterMs: MEMORY_BACK_AFTER_MS,
    }),
  };
}

/** Available memory below which no new build begins, of a machine with so much in all. */
export function memoryShortBelow(memoryBytes: number): number {
  const floor = Math.min(MEMORY_FLOOR_BYTES, memoryBytes * MEMORY_SHARE_OF_TINY);
  return Math.min(MEMORY_CEILING_BYTES, Math.max(floor, memoryBytes * MEMORY_SHARE));
}

function turn(
  latch: Latch,
  nowMs: number,
  rule: { on: boolean; off: boolean; onAfterMs: number; offAfterMs: number },
): Latch {
  const contrary = latch.on ? rule.off : rule.on;
  if (!contrary) return { on: latch.on, sinceMs: undefined };
  const sinceMs = latch.sinceMs ?? nowMs;
  const afterMs = latch.on ? rule.offAfterMs : rule.onAfterMs;
  return nowMs - sinceMs >= afterMs ? { on: !latch.on, sinceMs: undefined } : { on: latch.on, sinceMs };
}
