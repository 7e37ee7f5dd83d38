import type { HomeState, Job, WorkClass } from './home-state.ts';
import { firstOf } from './ready-queue.ts';
import { MAX_LAG_MS } from './worker-constants.ts';

/** Rounding must not make a whole quota look like a little less or more. */
const EPSILON = 1e-9;

/** A job's right to the next slot against others'. */
export interface Claimant {
  /** 2: one slot more is within its quota; 1: it has less than its quota; 0: it has its quota. */
  readonly rank: number;
  /** Slot time it has fallen behind. */
  readonly lagMs: number;
  /** (slots + 1) / weight, Buildbarn's rule. */
  readonly ratio: number;
}

/** Below 0: `a` has the better right; 0: both the same. */
export function compareClaims(a: Claimant, b: Claimant): number {
  return b.rank - a.rank || b.lagMs - a.lagMs || a.ratio - b.ratio;
}

/**
 * How the jobs with something ready divide the slots of all workers, in proportion to their weights: by quota, then by
 * what they have fallen behind over time, then by the least (slots + 1) / weight. The last rule alone would starve a
 * light job where slots are few. Workers divide theirs among homes likewise.
 */
export class JobShares {
  readonly #hungry = new Set<Job>();
  readonly #state: HomeState;
  #pool = 0;
  #totalWeight = 0;

  constructor(state: HomeState) {
    this.#state = state;
    for (const work of state.classes.values())
      if (firstOf(work) !== undefined) this.#hungry.add(state.jobs.get(work.job)!);
    for (const { running, weight } of this.#hungry) {
      this.#pool += running;
      this.#totalWeight += weight;
    }
    for (const worker of state.workers.values()) this.#pool += worker.free.length;
  }

  /** The right of the job that is charged for derivations of this class. */
  claimOf(work: WorkClass): Claimant {
    const job = this.#state.jobs.get(work.job)!;
    const { running, weight, lagMs } = job;
    const quota = this.#quotaOf(job);
    const rank = running + 1 <= quota + EPSILON ? 2 : running < quota - EPSILON ? 1 : 0;
    return { rank, lagMs, ratio: (running + 1) / weight };
  }

  /** Adds up what each of them got in `ms`, against its share of what all of them could have. */
  addUp(ms: number): void {
    if (this.#hungry.size < 2) return;
    for (const job of this.#hungry) {
      const lag = job.lagMs + ms * (this.#quotaOf(job) - job.running);
      job.lagMs = Math.min(MAX_LAG_MS, Math.max(-MAX_LAG_MS, lag));
    }
  }

  #quotaOf({ weight }: Job): number {
    return (this.#pool * weight) / this.#totalWeight;
  }
}

/** Takes note of how the time since the last step was divided among jobs. */
export function addUpLags(state: HomeState, now: number): void {
  const ms = now - state.sharedAt;
  state.sharedAt = now;
  if (ms > 0 && state.jobs.size > 1) new JobShares(state).addUp(ms);
}
