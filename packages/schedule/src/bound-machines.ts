import type { WorkerInfo } from './types.ts';

/** A machine as a bound sees it. */
export interface BoundMachine {
  /** Builds at once. */
  readonly slots: number;
  /** Cores for all builds together; absent: as many as slots. Counts only for builds that can use several. */
  readonly cores?: number | undefined;
  /** Relative to an ordinary machine; absent: 1. */
  readonly speed?: number | undefined;
  /** Absent: builds every system. */
  readonly systems?: readonly string[] | undefined;
  /** Of `systems`, those it emulates, with how fast a build is compared to a native one. */
  readonly emulated?: Readonly<Record<string, number>> | undefined;
  /** Absent: has every feature. */
  readonly features?: readonly string[] | undefined;
}

/** What a derivation asks of a machine. */
interface Needs {
  readonly system?: string | undefined;
  readonly requiredFeatures?: readonly string[] | undefined;
}

/** A worker as a bound sees it. */
export function boundMachineOf(worker: WorkerInfo): BoundMachine {
  const { slots, cores, speed, systems, emulated, features } = worker;
  return { slots, cores, speed, systems, emulated, features };
}

/** Derivations that every machine treats alike. */
export interface BoundClass {
  /** How fast each machine builds one, in the order of the machines; 0 where it cannot. */
  readonly rates: readonly number[];
  /** The largest of them. */
  readonly fastest: number;
}

/** Sorts derivations into classes, in the order in which they first appear. */
export class BoundClasses {
  readonly classes: BoundClass[] = [];
  readonly #machines: readonly BoundMachine[];
  readonly #known = new Map<string, number>();

  constructor(machines: readonly BoundMachine[]) {
    this.#machines = machines;
  }

  /** The class of a derivation, as an index of `classes`. */
  indexOf(needs: Needs): number {
    const features = needs.requiredFeatures ?? [];
    const key = `${needs.system ?? ''} ${features.length < 2 ? (features[0] ?? '') : [...features].sort().join(' ')}`;
    let index = this.#known.get(key);
    if (index === undefined) {
      index = this.#classOf(this.#machines.map((machine) => rateOf(machine, needs)));
      this.#known.set(key, index);
    }
    return index;
  }

  /** Other words for the same rates are the same class. */
  #classOf(rates: readonly number[]): number {
    const same = this.classes.findIndex((known) => known.rates.every((rate, i) => rate === rates[i]));
    if (same >= 0) return same;
    const fastest = rates.reduce((most, rate) => Math.max(most, rate), 0);
    // What no machine can build has no schedule at all: counted as if every machine could.
    const usable = fastest > 0 ? rates : this.#machines.map((machine) => machine.speed ?? 1);
    this.classes.push({
      rates: usable,
      fastest: usable.reduce((most, rate) => Math.max(most, rate), 0) || 1,
    });
    return this.classes.length - 1;
  }
}

function rateOf(machine: BoundMachine, { system, requiredFeatures }: Needs): number {
  if (machine.slots <= 0) return 0;
  if (requiredFeatures?.some((feature) => machine.features?.includes(feature) === false)) return 0;
  const speed = machine.speed ?? 1;
  if (system === undefined || system === 'builtin') return speed;
  if (machine.systems?.includes(system) === false) return 0;
  return speed * (machine.emulated?.[system] ?? 1);
}

/**
 * A way to weigh classes against each other, and what all machines together do of the weighted work in a millisecond
 * at most: work of the classes, weighted, takes at least that sum over this capacity. Holds for any weights (they
 * are a solution of the dual of the linear program that spreads work over machines); good ones make it tight.
 */
export interface Weighing {
  readonly weights: readonly number[];
  readonly capacity: number;
  /** Speeds of slots under these weights, fastest first. */
  readonly slotRates: readonly number[];
}

/** Rounds of improvement of one class's weight after the other. */
const ROUNDS = 4;
/** Improving weights compares every machine with every other for every class: beyond this it costs more than it tells. */
const MAX_IMPROVED_RATES = 512;

/**
 * Weighings worth trying: everything together, each class with those no other machines can build, each alone, and
 * weights improved for `work` (of each class).
 */
export function weighings(
  classes: readonly BoundClass[],
  machines: readonly BoundMachine[],
  widths: readonly number[],
  work: readonly number[],
): Weighing[] {
  const found = new Map<string, number[]>();
  const note = (weights: number[]) => {
    if (weights.some((weight) => weight > 0)) found.set(weights.join(' '), weights);
  };
  note(classes.map(() => 1));
  for (const one of classes) {
    note(classes.map((other) => (isWithin(other, one) ? 1 : 0)));
    note(classes.map((other) => (other === one ? 1 : 0)));
  }
  if (classes.length > 1 && classes.length * machines.length <= MAX_IMPROVED_RATES)
    for (const start of [...found.values()]) note(improved(start, classes, widths, work));
  return [...found.values()].map((weights) => ({
    weights,
    capacity: capacityOf(weights, classes, widths),
    slotRates: machines
      .flatMap(({ slots }, m) => new Array<number>(Math.max(0, slots)).fill(bestOf(weights, classes, m)))
      .filter((rate) => rate > 0)
      .sort((a, b) => b - a),
  }));
}

/** Whether only machines that build `outer` build `inner`. */
function isWithin(inner: BoundClass, outer: BoundClass): boolean {
  return inner.rates.every((rate, m) => rate === 0 || outer.rates[m]! > 0);
}

function bestOf(weights: readonly number[], classes: readonly BoundClass[], machine: number): number {
  let best = 0;
  for (let c = 0; c < classes.length; c++) best = Math.max(best, weights[c]! * classes[c]!.rates[machine]!);
  return best;
}

function capacityOf(
  weights: readonly number[],
  classes: readonly BoundClass[],
  widths: readonly number[],
): number {
  let capacity = 0;
  for (let m = 0; m < widths.length; m++) capacity += widths[m]! * bestOf(weights, classes, m);
  return capacity;
}

/** Coordinate ascent: the best weight of one class is where some machine is worth the same with and without it. */
function improved(
  start: readonly number[],
  classes: readonly BoundClass[],
  widths: readonly number[],
  work: readonly number[],
): number[] {
  const weights = [...start];
  const value = () => {
    const capacity = capacityOf(weights, classes, widths);
    return capacity > 0 ? weights.reduce((sum, weight, c) => sum + weight * work[c]!, 0) / capacity : 0;
  };
  let best = value();
  for (let round = 0; round < ROUNDS; round++) {
    const before = best;
    for (let c = 0; c < classes.length; c++) {
      const { rates } = classes[c]!;
      const own = weights[c]!;
      weights[c] = 0;
      const breaks = new Set<number>([0]);
      for (let m = 0; m < rates.length; m++)
        if (rates[m]! > 0) breaks.add(bestOf(weights, classes, m) / rates[m]!);
      let bestWeight = own;
      for (const weight of breaks) {
        weights[c] = weight;
        const now = value();
        if (now > best) {
          best = now;
          bestWeight = weight;
        }
      }
      weights[c] = bestWeight;
    }
    if (best <= before) break;
  }
  return weights;
}
