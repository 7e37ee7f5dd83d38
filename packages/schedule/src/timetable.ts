import { endsAt } from './estimates.ts';
import type { Lease, Timetable, WorkerRecord } from './home-state.ts';

/** A worker that heard of work, or had a lease end, this recently: its requests are still on their way. */
export const REQUEST_UNDER_WAY_MS = 250;
const REQUEST_MS = 5;
/** Slots that other homes have: nobody knows for how long. */
const FOREIGN_SLOT_MS = 60_000;
/** Expected ends move that little within this time that they need not be worked out again. */
const VALID_MS = 100;

/** Cores a worker gives to builds, all together. */
export function coresOf({ info }: WorkerRecord): number {
  return Math.max(1, info.cores ?? info.slots);
}

/** A parked request that can be answered: what was sent ahead takes the next free slot, whatever was asked for it since. */
export function hasOpenSlot({ free, slotsTaken, info }: WorkerRecord): boolean {
  return free.length > 0 && slotsTaken < info.slots;
}

/** When a worker's slots come free, as far as this home can tell. Kept for a moment, or until its leases or requests change. */
export function timetableOf(worker: WorkerRecord, now: number): Timetable {
  const known = worker.timetable;
  if (known !== undefined && now - known.at <= VALID_MS) return known;
  worker.timetable = workOut(worker, now);
  return worker.timetable;
}

function workOut(worker: WorkerRecord, now: number): Timetable {
  const open = Math.max(0, Math.min(worker.free.length, worker.info.slots - worker.slotsTaken));
  const times: number[] = Array.from({ length: open }, () => now);
  const aheadEnds = new Map<Lease, number>();
  const waiting: Lease[] = [];
  let links = 0;
  for (const lease of worker.leases.values()) {
    if (lease.follows !== undefined && worker.leases.has(lease.follows.lease)) links += lease.expectedMs;
    else if (lease.ahead && lease.startedAt === undefined) waiting.push(lease);
    else times.push(endsAt(lease, now));
  }
  if (worker.info.closed === undefined && now - worker.requestsDueSince < REQUEST_UNDER_WAY_MS) {
    // What waits for a slot takes its cores with the slot: or a machine would look full to what was just sent to it.
    const waitingCores = waiting.reduce((sum, { cores }) => sum + cores, 0);
    const cores = coresOf(worker) - (worker.coresTaken - waitingCores) - open;
    const due = Math.min(worker.info.slots - times.length, cores);
    for (let i = 0; i < due; i++) times.push(now + REQUEST_MS);
  }
  if (times.length === 0) times.push(now + FOREIGN_SLOT_MS);
  times.sort(rising);
  for (const lease of waiting) {
    times[0] = Math.max(times[0]!, now + lease.fetchMs) + lease.expectedMs;
    aheadEnds.set(lease, times[0]);
    times.sort(rising);
  }
  if (links > 0) {
    times[0]! += links;
    times.sort(rising);
  }
  return { at: now, freeTimes: times, aheadEnds };
}

function rising(a: number, b: number): number {
  return a - b;
}
