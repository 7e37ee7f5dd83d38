import { dropOldest } from './drop-oldest.ts';
import { oneCoreMs, parallelShare } from './prediction-cores.ts';
import { robustEstimate, type Weighted, weightedMedian } from './prediction-estimate.ts';
import type { BuildRecord } from './prediction-record.ts';
import type { BuildHistory, PeerId } from './types.ts';

/** The newest builds of a key that count; older ones are forgotten. */
export const SAMPLES_PER_KEY = 32;
/** Keys kept at a time, the oldest forgotten first: more than the largest graph has names. */
const MAX_KEYS = 100_000;
/** A build counts half as much as one this many builds newer of the same key: packages change, and so do machines. */
const HALF_LIFE_BUILDS = 8;
/** What is expected of the spread before builds say otherwise counts like this many of them. */
const DEVIATION_PRIOR = 2;
/** A build that died of too little memory is treated with care until this many later ones did not. */
const OUT_OF_MEMORY_BUILDS = 8;

/** What one build tells about the next. */
export interface Sample {
  readonly at: number;
  /** Natural logarithm of milliseconds on one core at speed 1; undefined of a build that did not end well. */
  readonly ln: number | undefined;
  readonly record: BuildRecord;
}

/** What a number of builds together tell about the logarithm of the next one's duration. */
export interface Level {
  readonly median: number;
  readonly deviation: number;
  readonly weight: number;
  readonly samples: number;
}

type Resources = Pick<
  BuildHistory,
  'busyCores' | 'memoryPeakBytes' | 'outputBytes' | 'parallelShare' | 'ranOutOfMemory'
>;

interface Key {
  /** Newest first, at most {@link SAMPLES_PER_KEY}. */
  readonly samples: Sample[];
  /** Worked out when asked for; `stale` until then. */
  level: Level | undefined | 'stale';
  resources: Resources | 'stale';
}

export function sampleOf(record: BuildRecord): Sample {
  const ln =
    record.outcome === 'built'
      ? Math.log(oneCoreMs(record.wallMs, record.cpuMs) * (record.speed ?? 1))
      : undefined;
  return { at: record.at, ln, record };
}

/** The newest builds under each of many keys, and what they tell; worked out when asked for. */
export class SampleBook {
  readonly #keys = new Map<string, Key>();
  readonly #priorDeviation: number;
  readonly #weightOf: (origin: PeerId | undefined) => number;

  /** `priorDeviation`: of the logarithms, before builds say otherwise. */
  constructor(priorDeviation: number, weightOf: (origin: PeerId | undefined) => number) {
    this.#priorDeviation = priorDeviation;
    this.#weightOf = weightOf;
  }

  /** Keeps samples in order of time, whatever order they come in. */
  add(name: string, sample: Sample): void {
    const key = this.#keys.get(name);
    if (key === undefined) {
      if (this.#keys.size >= MAX_KEYS) dropOldest(this.#keys, MAX_KEYS / 10);
      this.#keys.set(name, { samples: [sample], level: 'stale', resources: 'stale' });
      return;
    }
    const { samples } = key;
    let place = 0;
    while (place < samples.length && (samples[place] as Sample).at > sample.at) place++;
    if (place >= SAMPLES_PER_KEY) return;
    samples.splice(place, 0, sample);
    if (samples.length > SAMPLES_PER_KEY) samples.pop();
    key.level = 'stale';
    key.resources = 'stale';
  }

  /** Undefined where no build under this key ended well. */
  level(name: string): Level | undefined {
    const key = this.#keys.get(name);
    if (key === undefined) return undefined;
    if (key.level === 'stale') key.level = levelOf(key.samples, this.#priorDeviation, this.#weightOf);
    return key.level;
  }

  resources(name: string): Resources | undefined {
    const key = this.#keys.get(name);
    if (key === undefined) return undefined;
    if (key.resources === 'stale') key.resources = resourcesOf(key.samples.map(({ record }) => record));
    return key.resources;
  }

  reweigh(): void {
    for (const key of this.#keys.values()) key.level = 'stale';
  }
}

function levelOf(
  samples: readonly Sample[],
  priorDeviation: number,
  weightOf: (origin: PeerId | undefined) => number,
): Level | undefined {
  const values: Weighted[] = samples.flatMap(({ ln, record }, rank) =>
    ln === undefined ? [] : { value: ln, weight: 0.5 ** (rank / HALF_LIFE_BUILDS) * weightOf(record.origin) },
  );
  const estimate = robustEstimate(values);
  if (estimate === undefined) return undefined;
  const { median, deviation, weight } = estimate;
  const variance =
    (DEVIATION_PRIOR * priorDeviation ** 2 + weight * deviation ** 2) / (DEVIATION_PRIOR + weight);
  return { median, deviation: Math.sqrt(variance), weight, samples: values.length };
}

function resourcesOf(records: readonly BuildRecord[]): Resources {
  const resources: { -readonly [Name in keyof Resources]: Resources[Name] } = {};
  for (const { memoryPeakBytes } of records) {
    if (memoryPeakBytes !== undefined)
      resources.memoryPeakBytes = Math.max(resources.memoryPeakBytes ?? 0, memoryPeakBytes);
  }
  const outputBytes = middle(records, (record) => record.outputBytes);
  if (outputBytes !== undefined) resources.outputBytes = outputBytes;
  const busyCores = middle(records, ({ cpuMs, wallMs }) => cpuMs && cpuMs / wallMs);
  if (busyCores !== undefined) resources.busyCores = busyCores;
  const share = middle(records, ({ wallMs, cpuMs, cores }) => parallelShare(wallMs, cpuMs, cores));
  if (share !== undefined) resources.parallelShare = share;
  if (records.slice(0, OUT_OF_MEMORY_BUILDS).some(({ outcome }) => outcome === 'out-of-memory'))
    resources.ranOutOfMemory = true;
  return resources;
}

function middle(
  records: readonly BuildRecord[],
  pick: (record: BuildRecord) => number | undefined,
): number | undefined {
  const values: Weighted[] = [];
  for (const record of records) {
    const value = pick(record);
    if (value !== undefined) values.push({ value, weight: 1 });
  }
  return weightedMedian(values);
}
