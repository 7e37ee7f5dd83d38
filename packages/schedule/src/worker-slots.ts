import type { PeerId } from './types.ts';
import { MEMORY_SETTLE_MS } from './worker-constants.ts';
import type { WorkerCapacity } from './worker-protocol.ts';
import type { HeldLease, WorkerState } from './worker-state.ts';

/** Slots taken and still to be had. A slot is taken by builds, by builds being killed, and by leases that fetch with one kept. */
export interface SlotCount {
  /** In slots here, by home. */
  readonly byHome: ReadonlyMap<PeerId, number>;
  readonly taken: number;
  /** Free for anybody, as far as slots and cores go. */
  readonly free: number;
  /** Of them, what other homes may have. */
  readonly freeForOthers: number;
  /**
   * What the own home may start even where nothing is free: its reserved share. Slots and cores are exceeded by as
   * much, at least a core each, until builds of others end.
   */
  readonly reserveLeft: number;
}

export function countSlots(state: WorkerState): SlotCount {
  const { capacity, self } = state;
  const byHome = new Map<PeerId, number>();
  let taken = 0;
  let cores = 0;
  for (const lease of state.leases.values()) {
    if (!lease.inSlot) continue;
    taken++;
    cores += Math.max(1, lease.cores);
    byHome.set(lease.home, (byHome.get(lease.home) ?? 0) + 1);
  }
  const own = byHome.get(self) ?? 0;
  let free = Math.max(0, capacity.slots - taken);
  // Where the owner set more slots than there are cores, slots alone count.
  if (capacity.slots <= capacity.cores) free = Math.min(free, Math.max(0, capacity.cores - cores));
  return {
    byHome,
    taken,
    free,
    freeForOthers: Math.max(0, Math.min(free, capacity.slotsForOthers - (taken - own))),
    reserveLeft: Math.max(0, capacity.reservedSlots - own),
  };
}

/** Without a slot, and no link of a chain whose turn will come by itself. */
export function waitsForSlot({ inSlot, phase }: HeldLease): boolean {
  return !inSlot && (phase === 'fetching' || phase === 'waiting');
}

/** Whether a lease of this home may take a slot now. */
export function hasSlotFor(state: WorkerState, home: PeerId, count: SlotCount = countSlots(state)): boolean {
  if (home === state.self) return count.free > 0 || count.reserveLeft > 0;
  return serves(state, home) && count.freeForOthers > 0;
}

/** Whether this machine builds for that home at all at the moment, slots being free or not. */
export function serves(state: WorkerState, home: PeerId): boolean {
  const { slots, slotsForOthers, reservedSlots, homes } = state.capacity;
  if (home === state.self) return slots > 0 || reservedSlots > 0;
  return slots > 0 && slotsForOthers > 0 && (homes?.includes(home) ?? true);
}

/** Cores for a build that starts now in its slot: what it wishes, if other slots leave so many, and 1 at least. */
export function coresFor(state: WorkerState, lease: HeldLease): number {
  const { capacity } = state;
  let free = capacity.cores;
  for (const other of state.leases.values())
    if (other.inSlot && other !== lease) free -= Math.max(1, other.cores);
  return Math.max(1, Math.min(lease.coresWished, free));
}

/**
 * Why there is not memory enough for one more lease, in a sentence, or undefined. Memory that leases in slots have yet
 * to take counts as taken. What finds the machine empty may always try.
 */
export function lacksMemory(state: WorkerState, lease: HeldLease): string | undefined {
  if (lease.memoryBytes === 0 || state.freeMemoryBytes === undefined) return undefined;
  let busy = false;
  let left = state.freeMemoryBytes;
  for (const other of state.leases.values()) {
    if (!other.inSlot || other === lease) continue;
    busy = true;
    if (!other.memoryMeasured) left -= other.memoryBytes;
  }
  if (!busy || lease.memoryBytes <= left) return undefined;
  return `It is expected to need ${gib(lease.memoryBytes)} of memory, and of this machine's ${gib(Math.max(0, left))} are left beside what builds here.`;
}

/** Memory that is free and promised to no lease in a slot: what homes are told. */
export function unpromisedMemory(state: WorkerState): number | undefined {
  if (state.freeMemoryBytes === undefined) return undefined;
  let left = state.freeMemoryBytes;
  for (const lease of state.leases.values())
    if (lease.inSlot && !lease.memoryMeasured) left -= lease.memoryBytes;
  return Math.max(0, left);
}

/** New figures of the machine: memory was measured with the running builds in it, those that have run long enough in full. */
export function setCapacity(state: WorkerState, capacity: WorkerCapacity, now: number): void {
  state.capacity = capacity;
  state.freeMemoryBytes = capacity.freeMemoryBytes;
  for (const lease of state.leases.values())
    lease.memoryMeasured = lease.startedAt !== undefined && now - lease.startedAt >= MEMORY_SETTLE_MS;
}

/** A lease in a slot is over: what it took of the measured memory is free again. */
export function freeMemoryOf(state: WorkerState, lease: HeldLease): void {
  if (lease.memoryMeasured && state.freeMemoryBytes !== undefined) state.freeMemoryBytes += lease.memoryBytes;
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
