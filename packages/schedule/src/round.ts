import { endsAt, parallelismOf, speedOn } from './estimates.ts';
import type { Lease, Step, WorkClass, WorkerRecord } from './home-state.ts';
import { tailMs } from './placement.ts';
import { ableWorkers, firstOf } from './ready-queue.ts';

/** A worker that heard of work, or had a lease end, this recently: its requests are still on their way. */
export const REQUEST_UNDER_WAY_MS = 250;
const REQUEST_MS = 5;
/** Slots that other homes have: nobody knows for how long. */
const FOREIGN_SLOT_MS = 60_000;

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
  readonly #slots = new Map<WorkerRecord, number[]>();
  /** Workers kept for a derivation that needs one to itself. */
  readonly reserved = new Set<WorkerRecord>();
  #jobEnd: { readonly path: number; readonly area: number } | undefined;
  readonly #aheadEnds = new Map<Lease, number>();
  readonly #places = new Map<WorkClass, Places>();
  readonly #loads = new Map<string, number>();
  #mesh: { slots: number; cores: number; capacity: number } | undefined;

  constructor(step: Step) {
    this.step = step;
  }

  /** When a slot of this worker is expected to be free, `now` at the earliest. */
  freeAt(worker: WorkerRecord): number {
    return this.#slotsOf(worker)[0]!;
  }

  /** When all its slots are. */
  emptyAt(worker: WorkerRecord): number {
    return this.#slotsOf(worker).at(-1)!;
  }

  /** When an unstarted ahead lease is expected to be over where it is. */
  aheadEnd(lease: Lease, worker: WorkerRecord): number {
    this.#slotsOf(worker);
    return this.#aheadEnds.get(lease) ?? this.step.now;
  }

  /** Promises the worker's next free slot until `end`. */
  commit(worker: WorkerRecord, end: number): void {
    const slots = this.#slotsOf(worker);
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
  get jobEnd(): { readonly path: number; readonly area: number } {
    this.#jobEnd ??= this.#estimateEnd();
    return this.#jobEnd;
  }

  #estimateEnd(): { path: number; area: number } {
    const { state, now } = this.step;
    let path = now;
    for (const lease of state.leases.values()) {
      const { derivation } = lease;
      path = Math.max(path, endsAt(lease, now) + tailMs(derivation));
    }
    let area = 0;
    let remaining = 0;
    for (const work of state.classes.values()) {
      ableWorkers(state, work);
      const first = firstOf(work);
      if (first !== undefined) path = Math.max(path, now + first.level / Math.max(0.001, work.topSpeed));
      if (work.capacity > 0) area = Math.max(area, work.remainingMs / work.capacity);
      remaining += work.remainingMs;
    }
    const { capacity } = this.mesh;
    if (capacity > 0) area = Math.max(area, remaining / capacity);
    return { path, area: now + area };
  }

  #slotsOf(worker: WorkerRecord): number[] {
    const known = this.#slots.get(worker);
    if (known !== undefined) return known;
    const slots = slotTimes(worker, this.step.now, this.#aheadEnds);
    this.#slots.set(worker, slots);
    return slots;
  }
}

/** Cores a worker gives to builds, all together. */
export function coresOf({ info }: WorkerRecord): number {
  return Math.max(1, info.cores ?? info.slots);
}

/** Cores its leases from this home were given. */
export function coresTaken({ leases }: WorkerRecord): number {
  let taken = 0;
  for (const lease of leases.values()) if (lease.follows === undefined) taken += lease.cores;
  return taken;
}

/** When each of a worker's slots comes free, soonest first; never empty. Notes in `ends` when what was sent ahead is over. */
function slotTimes(worker: WorkerRecord, now: number, ends: Map<Lease, number>): number[] {
  const slots: number[] = worker.free.map(() => now);
  const waiting: Lease[] = [];
  let links = 0;
  for (const lease of worker.leases.values()) {
    if (lease.follows !== undefined && worker.leases.has(lease.follows.lease)) links += lease.expectedMs;
    else if (lease.ahead && lease.startedAt === undefined) waiting.push(lease);
    else slots.push(endsAt(lease, now));
  }
  if (worker.info.closed === undefined && now - worker.requestsDueSince < REQUEST_UNDER_WAY_MS) {
    const due = Math.min(
      worker.info.slots - slots.length,
      coresOf(worker) - coresTaken(worker) - worker.free.length,
    );
    for (let i = 0; i < due; i++) slots.push(now + REQUEST_MS);
  }
  if (slots.length === 0) slots.push(now + FOREIGN_SLOT_MS);
  slots.sort((a, b) => a - b);
  for (const lease of waiting) {
    slots[0] = Math.max(slots[0]!, now + lease.fetchMs) + lease.expectedMs;
    ends.set(lease, slots[0]);
    slots.sort((a, b) => a - b);
  }
  slots[0]! += links;
  return links > 0 ? slots.sort((a, b) => a - b) : slots;
}
