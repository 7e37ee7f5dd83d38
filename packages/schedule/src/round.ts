import { endsAt, speedOn } from './estimates.ts';
import type { Lease, Step, WorkerRecord } from './home-state.ts';
import { ableWorkers, firstOf } from './ready-queue.ts';

/** A worker that came, or had a lease end, this recently: its next request is still on its way. */
export const REQUEST_UNDER_WAY_MS = 250;
const REQUEST_MS = 5;
/** Slots that other homes have: nobody knows for how long. */
const FOREIGN_SLOT_MS = 60_000;

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
  #topSpeed: number | undefined;
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
        capacity += speedOn(state, worker, worker.info.systems[0] ?? 'builtin') * worker.info.slots;
      }
      this.#mesh = { slots, cores, capacity };
    }
    return this.#mesh;
  }

  /** Fastest worker for anything. */
  get topSpeed(): number {
    if (this.#topSpeed === undefined) {
      this.#topSpeed = 0.001;
      for (const work of this.step.state.classes.values()) {
        ableWorkers(this.step.state, work);
        this.#topSpeed = Math.max(this.#topSpeed, work.topSpeed);
      }
    }
    return this.#topSpeed;
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
      const tail = derivation.bLevelMs - derivation.predictedMs;
      path = Math.max(path, endsAt(lease, now) + tail / this.topSpeed);
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
    const slots = slotTimes(worker, this.step.now);
    this.#slots.set(worker, slots);
    return slots;
  }
}

/** Cores a worker gives to builds, all together. */
export function coresOf({ info }: WorkerRecord): number {
  return Math.max(1, info.cores ?? info.slots);
}

/** When each of a worker's slots comes free, soonest first; never empty. */
function slotTimes(worker: WorkerRecord, now: number): number[] {
  const slots: number[] = worker.free.map(() => now);
  const waiting: Lease[] = [];
  let links = 0;
  for (const lease of worker.leases.values()) {
    if (lease.follows !== undefined && worker.leases.has(lease.follows.lease)) links += lease.expectedMs;
    else if (lease.ahead && lease.startedAt === undefined) waiting.push(lease);
    else slots.push(endsAt(lease, now));
  }
  if (
    slots.length < worker.info.slots &&
    worker.free.length === 0 &&
    now - worker.endedAt < REQUEST_UNDER_WAY_MS
  )
    slots.push(now + REQUEST_MS);
  if (slots.length === 0) slots.push(now + FOREIGN_SLOT_MS);
  slots.sort((a, b) => a - b);
  for (const lease of waiting) {
    slots[0] = Math.max(slots[0]!, now + lease.fetchMs) + lease.expectedMs;
    slots.sort((a, b) => a - b);
  }
  slots[0]! += links;
  return links > 0 ? slots.sort((a, b) => a - b) : slots;
}
