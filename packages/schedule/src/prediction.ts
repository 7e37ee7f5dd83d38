import { coldStart, type DerivationShape } from './cold-start.ts';
import { looseFamily, packageFamily } from './family.ts';
import { oneCoreMs, parallelShare } from './prediction-cores.ts';
import { robustEstimate, type Weighted, weightedMedian } from './prediction-estimate.ts';
import { type BuildRecord, isPlausible, MAX_BUILD_MS } from './prediction-record.ts';
import type { BuildHistory, PeerId } from './types.ts';

/** The newest builds of a key that count; older ones are forgotten. */
export const SAMPLES_PER_KEY = 32;
/** A build counts half as much as one this many builds newer of the same key: packages change, and so do machines. */
const HALF_LIFE_BUILDS = 8;
/** Builds of a family weigh against what is known without them like this many builds of the general guess; a name against its family likewise. */
const FAMILY_PRIOR = 0.5;
const NAME_PRIOR = 0.25;
/** Builds of all names together weigh against the shipped table like this many builds. */
const CALIBRATION_PRIOR = 4;
/** One build moves a prediction by this much at most in logarithms (a factor of 20), two by twice as much. */
const LARGEST_STEP = 3;
/** Standard deviation of the logarithm expected before builds say otherwise, and how many builds that counts like. */
const NAME_DEVIATION = 0.35;
const FAMILY_DEVIATION = 0.8;
const DEVIATION_PRIOR = 2;
/** Builds for another system tell less: compilers and emulators differ. */
const OTHER_SYSTEM_DEVIATION = 0.6;
/** A build that died of too little memory is treated with care until this many later ones did not. */
const OUT_OF_MEMORY_BUILDS = 8;
/** Nothing starts and ends in less. */
const SHORTEST_MS = 1;

export interface Prediction {
  /** Median wall time with one core of a machine of speed 1; {@link wallMsOn} tells it for more cores. */
  readonly predictedMs: number;
  readonly history: BuildHistory;
}

/** What one build tells about the next. */
interface Sample {
  /** Natural logarithm of milliseconds on one core at speed 1; undefined of a build that did not end well. */
  readonly ln: number | undefined;
  readonly at: number;
  readonly origin: PeerId | undefined;
  readonly busyCores: number | undefined;
  readonly parallelShare: number | undefined;
  readonly memoryPeakBytes: number | undefined;
  readonly outputBytes: number | undefined;
  readonly outOfMemory: boolean;
}

interface Level {
  readonly median: number;
  readonly deviation: number;
  readonly weight: number;
  readonly samples: number;
}

/** Newest first, at most {@link SAMPLES_PER_KEY}. */
interface Key {
  samples: Sample[];
  level: Level | undefined;
  stale: boolean;
}

/**
 * Predicts how long builds take, from those before. Durations are compared on one core at speed 1, as logarithms, by weighted medians:
 * of the very name, shrunk towards its family, shrunk towards the cold guess; that one calibrated by all builds there were.
 */
export class BuildPredictor {
  readonly #weightOf: (origin: PeerId | undefined) => number;
  readonly #keys = new Map<string, Key>();
  readonly #families = new Map<string, readonly [family: string, loose: string]>();

  /** `weightOf` says how much builds count that this peer measured; 1 is ordinary. */
  constructor(weightOf: (origin: PeerId | undefined) => number = () => 1) {
    this.#weightOf = weightOf;
  }

  /** Takes a finished build in; absurd ones are ignored. `now`: wall-clock milliseconds. Returns whether it was believed. */
  add(record: BuildRecord, now: number): boolean {
    if (!isPlausible(record, now)) return false;
    const sample = sampleOf(record);
    const { name, system } = record;
    const [family, loose] = this.#familiesOf(name);
    for (const key of new Set([
      `name ${system} ${name}`,
      `name ${name}`,
      `family ${system} ${family}`,
      `family ${family}`,
      `loose ${loose}`,
    ]))
      insert(this.#keys, key, sample);
    if (sample.ln !== undefined) {
      const residual = sample.ln - Math.log(coldStart(name).medianMs);
      insert(this.#keys, CALIBRATION, { ...sample, ln: residual });
    }
    return true;
  }

  /** Members came or went: builds they measured count differently. */
  reweigh(): void {
    for (const key of this.#keys.values()) key.stale = true;
  }

  predict(name: string, system: string, shape?: DerivationShape): Prediction {
    const cold = coldStart(name, shape);
    const calibration = this.#level(CALIBRATION, 1);
    const shift =
      calibration === undefined
        ? 0
        : step(calibration.weight, CALIBRATION_PRIOR) * clamp(calibration.median, calibration.samples);
    const guess: Level = {
      median: Math.log(cold.medianMs) + shift,
      deviation: cold.deviation,
      weight: 0,
      samples: 0,
    };
    const [family, loose] = this.#familiesOf(name);
    const kin =
      this.#level(`family ${system} ${family}`, FAMILY_DEVIATION) ??
      further(this.#level(`family ${family}`, FAMILY_DEVIATION)) ??
      further(this.#level(`loose ${loose}`, FAMILY_DEVIATION));
    const own = this.#level(`name ${system} ${name}`, NAME_DEVIATION);
    const same = own ?? further(this.#level(`name ${name}`, NAME_DEVIATION));
    const expected = blend(guess, kin, FAMILY_PRIOR);
    const level = blend(expected, same, NAME_PRIOR);
    const basis = same !== undefined ? 'name' : kin !== undefined ? 'family' : 'cold';
    const remembered = this.#keys.get(`name ${system} ${name}`) ?? this.#keys.get(`name ${name}`);
    return {
      predictedMs: Math.min(MAX_BUILD_MS, Math.max(SHORTEST_MS, Math.exp(level.median))),
      history: {
        basis,
        samples: same?.samples ?? kin?.samples ?? 0,
        spread: level.deviation,
        ...resources(remembered?.samples ?? []),
      },
    };
  }

  #familiesOf(name: string): readonly [string, string] {
    let families = this.#families.get(name);
    if (families === undefined) {
      const family = packageFamily(name);
      families = [family, looseFamily(family)];
      if (this.#families.size >= MAX_REMEMBERED_NAMES) this.#families.clear();
      this.#families.set(name, families);
    }
    return families;
  }

  #level(name: string, priorDeviation: number): Level | undefined {
    const key = this.#keys.get(name);
    if (key === undefined) return undefined;
    if (key.stale) {
      key.level = levelOf(key.samples, priorDeviation, this.#weightOf);
      key.stale = false;
    }
    return key.level;
  }
}

const CALIBRATION = 'all';
/** Families of names are kept this many at a time: more than the largest graph has. */
const MAX_REMEMBERED_NAMES = 100_000;

function sampleOf(record: BuildRecord): Sample {
  const { wallMs, cpuMs, cores } = record;
  return {
    ln: record.outcome === 'built' ? Math.log(oneCoreMs(wallMs, cpuMs) * (record.speed ?? 1)) : undefined,
    at: record.at,
    origin: record.origin,
    busyCores: cpuMs === undefined ? undefined : cpuMs / wallMs,
    parallelShare: parallelShare(wallMs, cpuMs, cores),
    memoryPeakBytes: record.memoryPeakBytes,
    outputBytes: record.outputBytes,
    outOfMemory: record.outcome === 'out-of-memory',
  };
}

/** In order of time, whatever order rows arrive in. */
function insert(keys: Map<string, Key>, name: string, sample: Sample): void {
  const key = keys.get(name);
  if (key === undefined) {
    keys.set(name, { samples: [sample], level: undefined, stale: true });
    return;
  }
  const { samples } = key;
  let place = 0;
  while (place < samples.length && (samples[place] as Sample).at > sample.at) place++;
  if (place >= SAMPLES_PER_KEY) return;
  samples.splice(place, 0, sample);
  if (samples.length > SAMPLES_PER_KEY) samples.pop();
  key.stale = true;
}

function levelOf(
  samples: readonly Sample[],
  priorDeviation: number,
  weightOf: (origin: PeerId | undefined) => number,
): Level | undefined {
  const values: Weighted[] = samples.flatMap(({ ln, origin }, rank) =>
    ln === undefined ? [] : { value: ln, weight: 0.5 ** (rank / HALF_LIFE_BUILDS) * weightOf(origin) },
  );
  const estimate = robustEstimate(values);
  if (estimate === undefined) return undefined;
  const { median, deviation, weight } = estimate;
  const variance =
    (DEVIATION_PRIOR * priorDeviation ** 2 + weight * deviation ** 2) / (DEVIATION_PRIOR + weight);
  return { median, deviation: Math.sqrt(variance), weight, samples: values.length };
}

/** A level that tells about something slightly different. */
function further(level: Level | undefined): Level | undefined {
  return level && { ...level, deviation: Math.hypot(level.deviation, OTHER_SYSTEM_DEVIATION) };
}

/** What is known generally, moved towards what is known specially by how much that is. */
function blend(general: Level, special: Level | undefined, prior: number): Level {
  if (special === undefined) return general;
  const share = step(special.weight, prior);
  const moved = share * clamp(special.median - general.median, special.samples);
  const median = general.median + moved;
  const variance = share * special.deviation ** 2 + (1 - share) * general.deviation ** 2;
  // What the limit on a step keeps it from saying is uncertainty.
  const unsaid = (special.median - median) * share;
  return { ...special, median, deviation: Math.sqrt(variance + Math.min(1, unsaid ** 2)) };
}

function step(weight: number, prior: number): number {
  return weight / (weight + prior);
}

function clamp(difference: number, samples: number): number {
  const limit = LARGEST_STEP * samples;
  return Math.min(limit, Math.max(-limit, difference));
}

function resources(samples: readonly Sample[]): Partial<BuildHistory> {
  const memory = samples.flatMap((sample) => sample.memoryPeakBytes ?? []);
  const output = middle(samples.map((sample) => sample.outputBytes));
  const busy = middle(samples.map((sample) => sample.busyCores));
  const share = middle(samples.map((sample) => sample.parallelShare));
  return {
    ...(memory.length === 0 ? {} : { memoryPeakBytes: Math.max(...memory) }),
    ...(output === undefined ? {} : { outputBytes: output }),
    ...(busy === undefined ? {} : { busyCores: busy }),
    ...(share === undefined ? {} : { parallelShare: share }),
    ...(samples.slice(0, OUT_OF_MEMORY_BUILDS).some((sample) => sample.outOfMemory)
      ? { ranOutOfMemory: true }
      : {}),
  };
}

function middle(values: readonly (number | undefined)[]): number | undefined {
  return weightedMedian(values.flatMap((value) => (value === undefined ? [] : { value, weight: 1 })));
}
