import { dropOldest } from './drop-oldest.ts';
import { oneCoreMs } from './prediction-cores.ts';
import { type Weighted, weightedMedian } from './prediction-estimate.ts';
import { type BuildRecord, isPlausible, MAX_SPEED } from './prediction-record.ts';
import type { PeerId } from './types.ts';

/** A machine's own short measurement counts like this many builds at first, and less with each: five builds outvote it. */
const PRIOR_BUILDS = 7;
/** One build moves a machine's speed by a fifth at most: icecream's rule, so that one odd build does no harm. */
const LARGEST_STEP = Math.log(1.2);
/** The newest comparisons of a machine that count: after this many builds it is as if it had always been as it is now. */
const COMPARISONS_PER_MACHINE = 24;
/** Newest builds of a name that others are compared with. */
const BUILDS_PER_NAME = 12;
/** Names compared at a time: the least recently built are forgotten first. */
const MAX_NAMES = 20_000;
/** Crumbs say how long a process takes to start, not how fast a machine is. */
const SHORTEST_COMPARED_MS = 300;

interface Machine {
  /** Logarithm of what it says of itself. */
  prior: number;
  /** Logarithm of its speed as reality has it. */
  speed: number;
  /** What its builds say its speed is, newest first. */
  comparisons: number[];
}

interface Measured {
  readonly machine: string;
  /** Logarithm of milliseconds on one core, whatever the machine's speed. */
  readonly ln: number;
}

/**
 * How fast machines are, from builds of one name on several of them: `ln duration = w(name) - s(machine)`, solved by medians in turn
 * as builds come in. `w` is the median over the other machines' builds, `s` the median of what its builds say and what it says itself.
 * A machine that lies, or becomes slower, is believed its builds after some ten of them.
 */
export class MachineSpeeds {
  readonly #machines = new Map<string, Machine>();
  /** By system and name; the least recently built first. */
  readonly #names = new Map<string, Measured[]>();

  /**
   * Speed of a machine relative to an ordinary one. `claimed` is its own measurement, or what it said last. With `system`, its
   * speed when emulating that system.
   */
  speedOf(peerId: PeerId, claimed: number, system?: string): number {
    const machine = this.#machine(keyOf(peerId, system), claimed);
    if (claimed > 0) {
      machine.prior = bounded(Math.log(claimed));
      if (machine.comparisons.length === 0) machine.speed = machine.prior;
    }
    return Math.exp(machine.speed);
  }

  /** Takes in a finished build; failed and absurd ones say nothing. `now`: wall-clock milliseconds. */
  add(record: BuildRecord, now: number): void {
    if (record.outcome !== 'built' || !isPlausible(record, now)) return;
    const duration = oneCoreMs(record.wallMs, record.cpuMs);
    if (duration < SHORTEST_COMPARED_MS) return;
    const machine = keyOf(record.machine, record.emulated === true ? record.system : undefined);
    const ln = Math.log(duration);
    const name = `${record.system} ${record.name}`;
    const earlier = this.#names.get(name) ?? [];
    const work = this.#workOf(earlier, machine);
    if (work !== undefined) this.#compare(this.#machine(machine, record.speed), work - ln);
    this.#names.delete(name);
    this.#names.set(name, [{ machine, ln }, ...earlier].slice(0, BUILDS_PER_NAME));
    if (this.#names.size > MAX_NAMES) dropOldest(this.#names, MAX_NAMES / 4);
  }

  /** The logarithm of a name's duration at speed 1, as all machines but this one have it. */
  #workOf(earlier: readonly Measured[], machine: string): number | undefined {
    const others: Weighted[] = [];
    for (const measured of earlier) {
      if (measured.machine === machine) continue;
      others.push({ value: measured.ln + this.#machine(measured.machine).speed, weight: 1 });
    }
    return others.length === 0 ? undefined : weightedMedian(others);
  }

  #compare(machine: Machine, says: number): void {
    machine.comparisons = [bounded(says), ...machine.comparisons].slice(0, COMPARISONS_PER_MACHINE);
    moveTowardsEstimate(machine);
    this.#anchor();
  }

  /**
   * Builds tell only how fast machines are beside each other. All are moved so that the middle one is as fast as it says, by no more
   * than a step.
   */
  #anchor(): void {
    const compared = [...this.#machines.values()].filter((machine) => machine.comparisons.length > 0);
    const drift = weightedMedian(
      compared.map((machine) => ({ value: machine.speed - machine.prior, weight: 1 })),
    );
    if (drift === undefined || compared.length < 2 || drift === 0) return;
    const move = Math.min(LARGEST_STEP, Math.max(-LARGEST_STEP, drift));
    for (const machine of compared) {
      machine.speed -= move;
      machine.comparisons = machine.comparisons.map((says) => says - move);
    }
  }

  #machine(key: string, claimed = 1): Machine {
    let machine = this.#machines.get(key);
    if (machine === undefined) {
      const prior = claimed > 0 ? bounded(Math.log(claimed)) : 0;
      machine = { prior, speed: prior, comparisons: [] };
      this.#machines.set(key, machine);
    }
    return machine;
  }
}

function moveTowardsEstimate(machine: Machine): void {
  const estimate = weightedMedian([
    { value: machine.prior, weight: PRIOR_BUILDS ** 2 / (PRIOR_BUILDS + machine.comparisons.length) },
    ...machine.comparisons.map((value) => ({ value, weight: 1 })),
  ]);
  const distance = (estimate ?? machine.prior) - machine.speed;
  machine.speed += Math.min(LARGEST_STEP, Math.max(-LARGEST_STEP, distance));
}

function bounded(ln: number): number {
  const limit = Math.log(MAX_SPEED);
  return Math.min(limit, Math.max(-limit, ln));
}

function keyOf(peerId: PeerId, system: string | undefined): string {
  return system === undefined ? peerId : `${peerId} ${system}`;
}
