import type { Random } from './random.ts';

/** A machine dies without a word and comes back with its disk. */
export interface Death {
  readonly machine: number;
  readonly atMs: number;
  readonly backAtMs: number;
}

/** Somebody sits down at a machine and works there. */
export interface Visit {
  readonly machine: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** All clocks leap forward. */
export interface Jump {
  readonly atMs: number;
  readonly byMs: number;
}

export interface Faults {
  readonly deaths: readonly Death[];
  readonly visits: readonly Visit[];
  readonly jumps: readonly Jump[];
  /** How many times slower this attempt of this task is than it should be. */
  readonly straggle: (task: number, attempt: number) => number;
}

export interface FaultOptions {
  /** Deaths in all, of machines that are no home. */
  readonly deaths: number;
  readonly visits: number;
  readonly jumps: number;
  /** Share of attempts that straggle. */
  readonly straggle: number;
}

export const NO_FAULTS: FaultOptions = { deaths: 0, visits: 0, jumps: 0, straggle: 0 };

/** Stragglers are this many times slower: a disk that hiccups, another program, heat. */
const STRAGGLE_FROM = 3;
const STRAGGLE_TO = 10;
/** How long a machine is away or in use, as shares of the time in which faults happen. */
const DEATH_SHARE = 0.1;
const VISIT_SHARE = 0.2;
const JUMP_SHARE = 0.1;

/** Draws what goes wrong within `horizonMs`; the first `homes` machines never die. */
export function drawFaults(
  options: FaultOptions,
  machines: number,
  homes: number,
  horizonMs: number,
  random: Random,
): Faults {
  const deathTimes = random.split('deaths');
  const visitTimes = random.split('visits');
  const deaths: Death[] = [];
  const visits: Visit[] = [];
  for (let i = 0; i < options.deaths && machines > homes; i++) {
    const machine = homes + deathTimes.integer(machines - homes);
    const atMs = deathTimes.uniform() * horizonMs;
    const awayMs = 1_000 + deathTimes.uniform() * 2 * DEATH_SHARE * horizonMs;
    // One that is dead cannot die.
    if (deaths.some((other) => other.machine === machine)) continue;
    deaths.push({ machine, atMs, backAtMs: atMs + awayMs });
  }
  for (let i = 0; i < options.visits; i++) {
    const machine = visitTimes.integer(machines);
    const fromMs = visitTimes.uniform() * horizonMs;
    const forMs = visitTimes.uniform() * 2 * VISIT_SHARE * horizonMs;
    if (visits.some((other) => other.machine === machine)) continue;
    visits.push({ machine, fromMs, toMs: fromMs + forMs });
  }
  const jumpTimes = random.split('jumps');
  const jumps = Array.from({ length: options.jumps }, () => ({
    atMs: jumpTimes.uniform() * horizonMs,
    byMs: jumpTimes.uniform() * JUMP_SHARE * horizonMs,
  }));
  return { deaths, visits, jumps, straggle: stragglers(options.straggle, random.split('straggle')) };
}

/** Drawn per task and attempt, so that it does not matter which is asked for first. */
function stragglers(share: number, random: Random): Faults['straggle'] {
  if (share === 0) return () => 1;
  return (task, attempt) => {
    const own = random.split(`${task}/${attempt}`);
    return own.uniform() < share ? own.between(STRAGGLE_FROM, STRAGGLE_TO) : 1;
  };
}
