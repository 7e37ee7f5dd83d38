import type { BuildHistory, DerivationNode, WorkerInfo } from './types.ts';

/** A third of a year: what no build takes, and what sums of stay numbers. */
const MOST_MS = 1e10;
/** Taken where a prediction is no number. */
const SOME_MS = 1_000;
/** Off by a factor e^5: nothing is known. */
const MOST_SPREAD = 5;
const UNKNOWN_SPREAD = 1;
const MOST_CORES = 4_096;
const [LEAST_SPEED, MOST_SPEED] = [0.001, 1_000];
const MOST_BYTES = 2 ** 60;

/** A prediction as it may be reckoned with: other members, and rows of years ago, say what they like. */
export function plausiblePrediction<N extends Pick<DerivationNode, 'predictedMs' | 'history'>>(node: N): N {
  const history = node.history === undefined ? undefined : plausibleHistory(node.history);
  return { ...node, predictedMs: within(node.predictedMs, 0, MOST_MS) ?? SOME_MS, history };
}

function plausibleHistory(history: BuildHistory): BuildHistory {
  return {
    ...history,
    spread: within(history.spread, 0, MOST_SPREAD) ?? UNKNOWN_SPREAD,
    memoryPeakBytes: within(history.memoryPeakBytes, 0, MOST_BYTES),
    outputBytes: within(history.outputBytes, 0, MOST_BYTES),
    busyCores: within(history.busyCores, 0, MOST_CORES),
    parallelShare: within(history.parallelShare, 0, 1),
  };
}

/** What a worker says of itself, as it may be reckoned with. */
export function plausibleWorker(info: WorkerInfo): WorkerInfo {
  const { emulated } = info;
  return {
    ...info,
    slots: Math.floor(within(info.slots, 0, MOST_CORES) ?? 0),
    cores: within(info.cores, 1, MOST_CORES),
    speed: within(info.speed, LEAST_SPEED, MOST_SPEED),
    memoryBytes: within(info.memoryBytes, 0, MOST_BYTES),
    freeMemoryBytes: within(info.freeMemoryBytes, 0, MOST_BYTES),
    freeDiskBytes: within(info.freeDiskBytes, 0, MOST_BYTES),
    linkBytesPerMs: within(info.linkBytesPerMs, 1, MOST_BYTES),
    emulated:
      emulated &&
      Object.fromEntries(
        Object.entries(emulated).map(([system, speed]) => [
          system,
          within(speed, LEAST_SPEED, 1) ?? LEAST_SPEED,
        ]),
      ),
  };
}

/** The nearest number within the limits; undefined for what is none. */
function within(value: number | undefined, least: number, most: number): number | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : Math.min(most, Math.max(least, value));
}
