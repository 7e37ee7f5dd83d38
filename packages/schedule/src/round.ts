import { endsAt, parallelismOf, speedOn } from './estimates.ts';
import type { JobEnd, Lease, Step, WorkClass, WorkerRecord } from './home-state.ts';
import { tailMs } from './placement.ts';
import { ableWorkers, firstOf } from './ready-queue.ts';
import { coresOf, timetableOf } from './timetable.ts';

/** An estimate is good for this long, and while no more than one lease in so many is new or over. */
const END_VALID_MS = 100;
const END_VALID_SHARE = 16;

interface Places {
  readonly workers: readonly WorkerRecord[];
  readonly speeds: readonly number[];
}

/**
 * What one round of placement assumes about the near future: when slots come free, counting what the round itself
 * has promised, and when the whole work ends at best.
 */
export class Round {
  readonly step: Step;
  /** Of workers that this round has promised slots of. */
  readonly #promised = new Map<WorkerRecord, number[]>();
  /** Workers kept for a derivation that needs one to itself. */
  readonly reserved = new Set<WorkerRecord>();
  #jobEnd: JobEnd | undefined;
  readonly #places = new Map<WorkClass, Places>();
  readonly #loads = new Map<string, number>();
  #mesh: { slots: number; cores: number; capacity: number } | undefined;

  constructor(step: Step) {
    this.step = step;
  }

  /** When a slot of this worker is expected to be free, `now` at the earliest. */
  freeAt(worker: WorkerRecord): number {
    return Math.max(this.step.now, this.#freeTimes(worker)[0]!);
  }

  /** When all its slots are. */
  emptyAt(worker: WorkerRecord): number {
    return Math.max(this.step.now, this.#freeTimes(worker).at(-1)!);
  }

  /** When an unstarted ahead lease is expected to be over where it is. */
  aheadEnd(lease: Lease, worker: WorkerRecord): number {
    return timetableOf(worker, this.step.now).aheadEnds.get(lease) ?? this.step.now;
  }

  /** Promises the worker's next free slot until `end`. */
  commit(worker: WorkerRecord, end: number): void {
    const slots = this.#promised.get(worker) ?? [...timetableOf(worker, this.step.now).freeTimes];
    this.#promised.set(worker, slots);
    slots[0] = end;
    for (let i = 1; i < slots.length && slots[i]! < end; i++) {
      slots[i - 1] = slots[i]!;
      slots[i] = end;
    }
  }

  /** Slots, cores and slots weighted by speed of all workers. */
  get mesh(): { readonly slots: number; readonly cores: number; readonly capacity: number } {
    if (this.#mesh === undefined) {
      const { state } = this.step;
      let [slots, cores, capacity] = [0, 0, 0];
      for (const worker of state.workers.values()) {
        slots += worker.info.slots;
        cores += coresOf(worker);
        capacity += speedOn(state, worker, worker.info.systems[0] ?? 'builtin') * parallelismOf(worker.info);
      }
      this.#mesh = { slots, cores, capacity };
    }
    return this.#mesh;
  }

  /** The workers that may be given derivations of a class in this round, and their speeds. */
  placesFor(work: WorkClass): Places {
    let places = this.#places.get(work);
    if (places === undefined) {
      const able = ableWorkers(this.step.state, work);
      places = able.some(({ info }) => info.emulated?.[work.system] !== undefined)
        ? this.#withoutNeedlessEmulation(work)
        : { workers: able, speeds: work.ableSpeeds };
      this.#places.set(work, places);
    }
    return places;
  }

  #withoutNeedlessEmulation(work: WorkClass): Places {
    const workers: WorkerRecord[] = [];
    const speeds: number[] = [];
    for (const [index, worker] of work.able.entries()) {
      if (worker.info.emulated?.[work.system] !== undefined && !this.#mayEmulate(worker, work.system))
        continue;
      workers.push(worker);
      speeds.push(work.ableSpeeds[index]!);
    }
    return { workers, speeds };
  }

  /** A machine emulates only what there is more of, for the machines native to it, than of its own systems' work. */
  #mayEmulate(worker: WorkerRecord, system: string): boolean {
    const load = this.#loadOf(system);
    for (const own of worker.info.systems)
      if (worker.info.emulated?.[own] === undefined && this.#loadOf(own) >= load) return false;
    return true;
  }

  /** How long the machines native to a system would take for all work left for it. */
  #loadOf(system: string): number {
    const known = this.#loads.get(system);
    if (known !== undefined) return known;
    const { state } = this.step;
    let [remaining, capacity] = [0, 0];
    for (const work of state.classes.values()) if (work.system === system) remaining += work.remainingMs;
    for (const worker of state.workers.values())
      if (worker.info.systems.includes(system) && worker.info.emulated?.[system] === undefined)
        capacity += speedOn(state, worker, system) * worker.info.slots;
    const load = remaining === 0 ? 0 : remaining / Math.max(1e-6, capacity);
    this.#loads.set(system, load);
    return load;
  }

  /**
   * When everything can be over: the longest path on the fastest machine from here (`path`), and all work spread over
   * all slots (`area`). By the home's clock.
   */
  get jobEnd(): JobEnd {
    if (this.#jobEnd === undefined) {
      const { state, now } = this.step;
      const known = state.jobEnd;
      const isFresh =
        known !== undefined &&
        now - known.at <= END_VALID_MS &&
        Math.abs(state.attempts - known.attempts) * END_VALID_SHARE <= state.leases.size;
      if (!isFresh) state.jobEnd = { at: now, attempts: state.attempts, ...this.#estimateEnd() };
      this.#jobEnd = state.jobEnd!;
    }
    return this.#jobEnd;
  }

  #estimateEnd(): JobEnd {
    const { state, now } = this.step;
    let path = now;
    for (const lease of state.leases.values()) {
      const { derivation } = lease;
      path = Math.max(path, endsAt(lease, now) + tailMs(derivation));
    }
    let area = 0;
    let [remaining, shortest, unfinished] = [0, 0, 0];
    for (const work of state.classes.values()) {
      ableWorkers(state, work);
      const first = firstOf(work);
      if (first !== undefined) path = Math.max(path, now + first.level / Math.max(0.001, work.topSpeed));
      if (work.capacity > 0) area = Math.max(area, work.remainingMs / work.capacity);
      remaining += work.remainingMs;
      shortest += work.shortestMs / Math.max(0.001, work.topSpeed);
      unfinished += work.members;
    }
    const { capacity } = this.mesh;
    if (capacity > 0) area = Math.max(area, remaining / capacity);
    // Each on the machine the path is reckoned with; what runs counts in full, so that near its end it looks like many.
    const atOnce = path <= now ? 1 : Math.min(unfinished, shortest / (path - now));
    return { path, area: now + area, width: Math.max(1, atOnce) };
  }

  #freeTimes(worker: WorkerRecord): readonly number[] {
    return this.#promised.get(worker) ?? timetableOf(worker, this.step.now).freeTimes;
  }
}
