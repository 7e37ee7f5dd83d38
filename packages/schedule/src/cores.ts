import { usableCores } from './estimates.ts';
import type { Derivation, HomeState, WorkerRecord } from './home-state.ts';
import type { Round } from './round.ts';
import { coresOf } from './timetable.ts';

/** Share of the longest path that counts as being on it. */
const NEAR_PATH = 0.8;
const HEADROOM = 1.25;
/** Builds seen in this job before those nobody knows are taken to be like them. */
const TELLING_BUILDS = 4;

/**
 * Cores a derivation should get: many ready, one each; few, what such builds can use; alone, the whole machine
 * (infinite). Of one that nobody knows is assumed that it could use all there are to share.
 */
export function coresWish(round: Round, derivation: Derivation): number {
  const { state } = round.step;
  if (derivation.alone) return Number.POSITIVE_INFINITY;
  const others = state.ready - 1 + state.leases.size;
  const { width } = round.jobEnd;
  if (others <= 0 && width < 1.5) return Number.POSITIVE_INFINITY;
  const share = Math.max(1, Math.floor(round.mesh.cores / Math.max(others + 1, width)));
  const usable = usableCores(derivation) ?? usualCores(state);
  return Math.max(1, isUrgent(round, derivation) ? (usable ?? share) : Math.min(share, usable ?? share));
}

/** What a worker has of them at the moment. */
export function coresAt(worker: WorkerRecord, wish: number): number {
  return wish === 1 ? 1 : Math.max(1, Math.min(wish, coresOf(worker) - worker.coresTaken));
}

/** The job's end hangs on it: the longest path, not the amount of work, decides, and it is on it or near. */
function isUrgent(round: Round, { bLevelMs, work }: Derivation): boolean {
  const { path, area } = round.jobEnd;
  const { now } = round.step;
  return path > area && bLevelMs / Math.max(0.001, work.topSpeed) >= NEAR_PATH * (path - now);
}

function usualCores({ parallelism }: HomeState): number | undefined {
  if (parallelism.weight < TELLING_BUILDS) return undefined;
  // More than they keep busy on average: their busy phases need more.
  return Math.round(HEADROOM * Math.exp(parallelism.sum / parallelism.weight));
}
