import { type ColdKind, coldGuess, coldKind, type DerivationShape } from './cold-start.ts';
import { looseFamily, packageFamily } from './family.ts';
import { type BuildRecord, isPlausible, MAX_BUILD_MS } from './prediction-record.ts';
import { type Level, SampleBook, sampleOf } from './prediction-samples.ts';
import type { BuildHistory, PeerId } from './types.ts';

/** Builds of a family weigh against what is known without them like this many builds of the general guess; a name against its family likewise. */
const FAMILY_PRIOR = 0.5;
const NAME_PRIOR = 0.25;
/** Builds of all names together weigh against the shipped table like this many builds. */
const CALIBRATION_PRIOR = 4;
/** One build moves a prediction by this much at most in logarithms (a factor of 20), two by twice as much. */
const LARGEST_STEP = 3;
/** Standard deviation of the logarithm expected before builds say otherwise. */
const NAME_DEVIATION = 0.35;
const FAMILY_DEVIATION = 0.8;
const CALIBRATION_DEVIATION = 1;
/** Builds for another system tell less: compilers and emulators differ. */
const OTHER_SYSTEM_DEVIATION = 0.6;
/** Nothing starts and ends in less. */
const SHORTEST_MS = 1;
/** Systems told apart; there are some ten in the world. */
const MAX_SYSTEMS = 32;
/** What names say of themselves is kept for this many at a time: more than the largest graph has. */
const MAX_READ_NAMES = 100_000;

export interface Prediction {
  /** Median wall time with one core of a machine of speed 1; `wallMsOn` (prediction-cores.ts) tells it for more cores. */
  readonly predictedMs: number;
  readonly history: BuildHistory;
}

/** What a name says of itself. */
interface ReadName {
  readonly family: string;
  readonly loose: string;
  readonly kind: ColdKind;
}

/** Builds for one system. */
interface SystemBooks {
  readonly names: SampleBook;
  readonly families: SampleBook;
}

/**
 * Predicts how long builds take, from those before. Durations are compared on one core at speed 1, as logarithms, by weighted medians:
 * of the very name, shrunk towards its family, shrunk towards the cold guess; that one calibrated by all builds there were.
 */
export class BuildPredictor {
  readonly #weightOf: (origin: PeerId | undefined) => number;
  readonly #systems = new Map<string, SystemBooks>();
  /** By family without the language, of any system. */
  readonly #loose: SampleBook;
  /** Under one key: how far off cold guesses were. */
  readonly #calibration: SampleBook;
  readonly #read = new Map<string, ReadName>();

  /** `weightOf` says how much builds count that this peer measured; 1 is ordinary. */
  constructor(weightOf: (origin: PeerId | undefined) => number = () => 1) {
    this.#weightOf = weightOf;
    this.#loose = new SampleBook(FAMILY_DEVIATION, weightOf);
    this.#calibration = new SampleBook(CALIBRATION_DEVIATION, weightOf);
  }

  /** Takes a finished build in; absurd ones are ignored. `now`: wall-clock milliseconds. Returns whether it was believed. */
  add(record: BuildRecord, now: number): boolean {
    if (!isPlausible(record, now)) return false;
    const books = this.#booksOf(record.system);
    if (books === undefined) return false;
    const sample = sampleOf(record);
    const { family, loose, kind } = this.#readName(record.name);
    books.names.add(record.name, sample);
    books.families.add(family, sample);
    if (loose !== family) this.#loose.add(loose, sample);
    if (sample.ln !== undefined) {
      const ln = sample.ln - Math.log(coldGuess(kind).medianMs);
      this.#calibration.add('', { ...sample, ln });
    }
    return true;
  }

  /** Members came or went: builds they measured count differently. */
  reweigh(): void {
    this.#loose.reweigh();
    this.#calibration.reweigh();
    for (const { names, families } of this.#systems.values()) {
      names.reweigh();
      families.reweigh();
    }
  }

  predict(name: string, system: string, shape?: DerivationShape): Prediction {
    const read = this.#readName(name);
    const own = this.#systems.get(system);
    const kin =
      own?.families.level(read.family) ??
      further(this.#elsewhere(system, (books) => books.families.level(read.family))) ??
      further(this.#loose.level(read.loose)) ??
      further(this.#elsewhere(undefined, (books) => books.families.level(read.loose)));
    const same =
      own?.names.level(name) ?? further(this.#elsewhere(system, (books) => books.names.level(name)));
    const expected = blend(this.#guess(read.kind, shape), kin, FAMILY_PRIOR);
    const level = blend(expected, same, NAME_PRIOR);
    const resources =
      own?.names.resources(name) ?? this.#elsewhere(system, (books) => books.names.resources(name));
    return {
      predictedMs: Math.min(MAX_BUILD_MS, Math.max(SHORTEST_MS, Math.exp(level.median))),
      history: {
        basis: same !== undefined ? 'name' : kin !== undefined ? 'family' : 'cold',
        samples: same?.samples ?? kin?.samples ?? 0,
        spread: level.deviation,
        ...resources,
      },
    };
  }

  /** The cold guess, moved by how far off such guesses were. */
  #guess(kind: ColdKind, shape: DerivationShape | undefined): Level {
    const { medianMs, deviation } = coldGuess(kind, shape);
    const off = this.#calibration.level('');
    const shift =
      off === undefined ? 0 : shareOf(off.weight, CALIBRATION_PRIOR) * clamp(off.median, off.samples);
    return { median: Math.log(medianMs) + shift, deviation, weight: 0, samples: 0 };
  }

  /** What is known of builds for another system than `system`. */
  #elsewhere<T>(system: string | undefined, find: (books: SystemBooks) => T | undefined): T | undefined {
    for (const [other, books] of this.#systems) {
      const found = other === system ? undefined : find(books);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #booksOf(system: string): SystemBooks | undefined {
    let books = this.#systems.get(system);
    if (books === undefined && this.#systems.size < MAX_SYSTEMS) {
      books = {
        names: new SampleBook(NAME_DEVIATION, this.#weightOf),
        families: new SampleBook(FAMILY_DEVIATION, this.#weightOf),
      };
      this.#systems.set(system, books);
    }
    return books;
  }

  #readName(name: string): ReadName {
    let read = this.#read.get(name);
    if (read === undefined) {
      const family = packageFamily(name);
      read = { family, loose: looseFamily(family), kind: coldKind(name) };
      if (this.#read.size >= MAX_READ_NAMES) this.#read.clear();
      this.#read.set(name, read);
    }
    return read;
  }
}

/** A level that tells about something slightly different. */
function further(level: Level | undefined): Level | undefined {
  return level && { ...level, deviation: Math.hypot(level.deviation, OTHER_SYSTEM_DEVIATION) };
}

/** What is known generally, moved towards what is known specially by how much that is. */
function blend(general: Level, special: Level | undefined, prior: number): Level {
  if (special === undefined) return general;
  const share = shareOf(special.weight, prior);
  const moved = share * clamp(special.median - general.median, special.samples);
  const median = general.median + moved;
  const variance = share * special.deviation ** 2 + (1 - share) * general.deviation ** 2;
  // What the limit on a step keeps it from saying is uncertainty.
  const unsaid = (special.median - median) * share;
  return { ...special, median, deviation: Math.sqrt(variance + Math.min(1, unsaid ** 2)) };
}

function shareOf(weight: number, prior: number): number {
  return weight / (weight + prior);
}

function clamp(difference: number, samples: number): number {
  const limit = LARGEST_STEP * samples;
  return Math.min(limit, Math.max(-limit, difference));
}
