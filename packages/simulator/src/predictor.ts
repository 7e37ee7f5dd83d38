import { type BuildHistory, BuildPredictor, type Prediction } from '@mesh/schedule';
import type { BuildGraph } from './build-graph.ts';
import type { Random } from './random.ts';

/**
 * What homes know of durations beforehand. `exact`: the truth. `warm`: builds of the very names, off by a lognormal
 * factor. `cold`: nobody has built anything yet.
 */
export type History = 'exact' | 'warm' | 'cold';

export const HISTORIES: readonly History[] = ['exact', 'warm', 'cold'];

/** What predictions are made of. */
interface Truth {
  readonly index: number;
  readonly workMs: number;
  readonly parallel: number;
  readonly memoryBytes: number;
  readonly outputBytes: number;
  readonly isDownload: boolean;
}

export interface PredictorOptions {
  readonly history: History;
  /** Standard deviation of the logarithm of predicted over real duration, with a warm history. */
  readonly error: number;
  readonly scale: number;
}

/** What downloads are expected to take; they cost next to nothing here. */
const DOWNLOAD_MS = 50;
/** Builds of a name that a warm history remembers, and the cores they had. */
const WARM_SAMPLES = 5;
const WARM_CORES = 4;
/** Sizes and memory vary less from build to build than durations do. */
const SIZE_SIGMA = 0.2;

/** Predicts derivations of a graph, each once and in their order. */
export function predictorOf(
  graph: BuildGraph,
  options: PredictorOptions,
  random: Random,
): (truth: Truth) => Prediction {
  return options.history === 'cold' ? coldPredictor(graph, options) : warmPredictor(options, random);
}

function warmPredictor(options: PredictorOptions, random: Random): (truth: Truth) => Prediction {
  const durations = random.split('durations');
  const sizes = random.split('sizes');
  const exact = options.history === 'exact';
  const error = exact ? 0 : options.error;
  return ({ isDownload, workMs, parallel, memoryBytes, outputBytes }) => {
    const factor = Math.exp(error * durations.normal());
    const sized = Math.exp((exact ? 0 : SIZE_SIGMA) * sizes.normal());
    const history: BuildHistory = {
      basis: 'name',
      samples: WARM_SAMPLES,
      spread: isDownload ? 0 : error,
      memoryPeakBytes: memoryBytes * sized,
      outputBytes: outputBytes * sized,
      busyCores: 1 / (1 - parallel + parallel / WARM_CORES),
      parallelShare: parallel,
    };
    return { predictedMs: isDownload ? DOWNLOAD_MS : workMs * factor, history };
  };
}

/** As the agent does with an empty history: by name and shape. */
function coldPredictor(graph: BuildGraph, { scale }: PredictorOptions): (truth: Truth) => Prediction {
  const predictor = new BuildPredictor();
  const inputs = graph.dependencies.map(
    (dependencies) => dependencies.filter((d) => graph.workMs[d] !== undefined).length,
  );
  const ofBuilds = inputs.filter((_, i) => graph.workMs[i] !== undefined).sort((a, b) => a - b);
  // What nearly every package of a collection needs (compiler, shell, tools) says nothing about any of them.
  const usualInputs = ofBuilds[Math.floor(ofBuilds.length / 10)] ?? 0;
  return ({ index, isDownload }) => {
    const shape = { inputs: inputs[index]!, usualInputs, download: isDownload };
    const { predictedMs, history } = predictor.predict(graph.names[index]!, graph.systems[index]!, shape);
    return { predictedMs: predictedMs * (isDownload ? 1 : scale), history };
  };
}
