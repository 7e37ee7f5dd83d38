import { type BuildGraph, DEFAULT_SYSTEM } from './build-graph.ts';
import { SimulatorError } from './errors.ts';
import { Random } from './random.ts';

/** Derivations of a generated graph: more than the largest recorded one. */
const MAX_DERIVATIONS = 200_000;
/** Durations and sizes as in the recorded graphs: many seconds, some minutes, few hours. */
const MEDIAN_WORK_MS = 6_000;
const WORK_SIGMA = 1.8;
const MEDIAN_BYTES = 2_000_000;
const BYTES_SIGMA = 1;
/** Width of a generated fork, and of a layer. */
const FORK = 16;
const LAYER = 24;
const MAX_NEEDS = 4;

type Shape = (index: number, count: number, random: Random) => number[];

const SHAPES: Readonly<Record<string, Shape>> = {
  /** N that need nothing. */
  wide: () => [],
  chain: (i) => (i === 0 ? [] : [i - 1]),
  /** One, N - 2 that need it, one that needs them all. */
  diamond: (i, n) => (i === 0 ? [] : i < n - 1 ? [0] : range(1, n - 1)),
  /** Forks of 16 one after the other, each joined by one. */
  'fork-join': (i) => {
    const place = i % (FORK + 1);
    const start = i - place;
    if (place === FORK) return range(start, i);
    return start === 0 ? [] : [start - 1];
  },
  /** Layers of 24; each derivation needs some of the layer before. */
  random: (i, _, random) => {
    const layer = Math.floor(i / LAYER);
    if (layer === 0) return [];
    const needs = new Set<number>();
    const count = 1 + random.integer(MAX_NEEDS);
    for (let n = 0; n < count; n++) needs.add((layer - 1) * LAYER + random.integer(LAYER));
    return [...needs].sort((a, b) => a - b);
  },
};

export const SHAPE_NAMES: readonly string[] = Object.keys(SHAPES);

/**
 * A graph of a shape and a size, such as `wide:100`; the same seed gives the same graph. Undefined when `text` is not of that form.
 * @throws {SimulatorError} SIMULATOR_GRAPH
 */
export function generateGraph(text: string, seed: string | number): BuildGraph | undefined {
  const match = /^([a-z-]+):(.*)$/.exec(text);
  if (match === null) return undefined;
  const [, shapeName, size] = match;
  const shape = SHAPES[shapeName!];
  if (shape === undefined)
    throw new SimulatorError(
      'SIMULATOR_GRAPH',
      `There is no shape "${shapeName}" of graphs; there are ${SHAPE_NAMES.join(', ')}.`,
    );
  const count = Number(size);
  if (size === '' || !Number.isInteger(count) || count < 0 || count > MAX_DERIVATIONS)
    throw new SimulatorError(
      'SIMULATOR_GRAPH',
      `${shapeName}:N takes a number of derivations up to ${MAX_DERIVATIONS}, not "${size}".`,
    );
  const random = new Random(seed).split(`graph/${text}`);
  const edges = random.split('edges');
  const durations = random.split('durations');
  const sizes = random.split('sizes');
  const all = range(0, count);
  return {
    name: text,
    names: all.map((i) => `${shapeName}-${i}`),
    dependencies: all.map((i) => shape(i, count, edges)),
    workMs: all.map(() => durations.lognormal(MEDIAN_WORK_MS, WORK_SIGMA)),
    outputBytes: all.map(() => Math.round(sizes.lognormal(MEDIAN_BYTES, BYTES_SIGMA))),
    systems: all.map(() => DEFAULT_SYSTEM),
    requiredFeatures: all.map(() => []),
  };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}
