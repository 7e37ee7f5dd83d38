import type { BuildHistory } from '@mesh/schedule';
import type { BuildGraph } from './build-graph.ts';
import type { Random } from './random.ts';

/**
 * What homes know of durations beforehand. `exact`: the truth. `warm`: builds of the very names, off by a lognormal
 * factor. `cold`: nobody has built anything yet.
 */
export type History = 'exact' | 'warm' | 'cold';

export const HISTORIES: readonly History[] = ['exact', 'warm', 'cold'];

interface Truth {
  readonly index: number;
  readonly workMs: number;
  readonly parallel: number;
  readonly memoryBytes: number;
  readonly outputBytes: number;
  readonly isDownload: boolean;
}

interface Prediction {
  readonly predictedMs: number;
  readonly history: BuildHistory;
}

/** What downloads are expected to take; they cost next to nothing here. */
const DOWNLOAD_MS = 50;
/** Half of the recorded builds take less. */
const COLD_MEDIAN_MS = 6_000;
const COLD_SPREAD = 1.8;
/** Builds of a name that a warm history remembers. */
const WARM_SAMPLES = 5;
/** Sizes and memory vary less from build to build than durations do. */
const SIZE_SIGMA = 0.2;

export function predictorOf(
  _graph: BuildGraph,
  options: { readonly history: History; readonly error: number; readonly scale: number },
  random: Random,
): (truth: Truth) => Prediction {
  const durations = random.split('durations');
  const sizes = random.split('sizes');
  const error = options.history === 'exact' ? 0 : options.error;
  return (truth) => {
    const factor = Math.exp(error * durations.normal());
    const sized = options.history === 'exact' ? 1 : Math.exp(SIZE_SIGMA * sizes.normal());
    if (options.history === 'cold') {
      const predictedMs = truth.isDownload ? DOWNLOAD_MS : COLD_MEDIAN_MS * options.scale;
      return { predictedMs, history: { basis: 'cold', samples: 0, spread: COLD_SPREAD } };
    }
    return {
      predictedMs: truth.isDownload ? DOWNLOAD_MS : truth.workMs * factor,
      history: {
        basis: 'name',
        samples: WARM_SAMPLES,
        spread: truth.isDownload ? 0 : error,
        memoryPeakBytes: truth.memoryBytes * sized,
        outputBytes: truth.outputBytes * sized,
        ...(truth.parallel > 0 ? {} : { busyCores: 1 }),
      },
    };
  };
}
