import type { LeaseId, PeerId, ReturnReason } from './types.ts';
import { closed, fetchFor, give, ref } from './worker-admission.ts';
import type { WorkerMachineEffect, WorkerMachineEvent } from './worker-protocol.ts';
import { fairest } from './worker-share.ts';
import { coresFor, countSlots, freeMemoryOf, hasSlotFor, lacksMemory, serves } from './worker-slots.ts';
import type { HeldLease, LeaseEnd, WorkerState } from './worker-state.ts';

type Event<T extends WorkerMachineEvent['type']> = Extract<WorkerMachineEvent, { type: T }>;

export function inputsReady(
  state: WorkerState,
  id: LeaseId,
  now: number,
  effects: WorkerMachineEffect[],
): void {
  const lease = state.leases.get(id);
  if (lease?.phase !== 'fetching') return;
  lease.phase = 'waiting';
  if (!lease.inSlot) {
    // A slot kept for a lease that still fetches is better used now, if the home may revoke that lease.
    const slower = state.leases
      .values()
      .find((l) => l.inSlot && l.ahead && l.phase === 'fetching' && l.home === lease.home);
    if (slower === undefined) return;
    slower.inSlot = false;
    if (lacksMemory(state, lease) !== undefined) {
      slower.inSlot = true;
      return;
    }
    lease.inSlot = true;
  }
  build(state, lease, now, effects);
}

export function inputsFailed(
  state: WorkerState,
  event: Event<'inputs-failed'>,
  effects: WorkerMachineEffect[],
): void {
  const lease = state.leases.get(event.lease);
  if (lease?.phase !== 'fetching') return;
  effects.push(give(lease, event.reason ?? 'machine', event.message));
  forget(state, lease, 'over', effects);
}

/** The slot is free for the next while outputs are moved. */
export function delivering(state: WorkerState, id: LeaseId): void {
  const lease = state.leases.get(id);
  if (lease?.phase !== 'building') return;
  lease.phase = 'delivering';
  lease.inSlot = false;
  freeMemoryOf(state, lease);
  lease.memoryMeasured = false;
}

/** Built here, or being built. */
export function isUnderWay({ phase }: HeldLease): boolean {
  return phase === 'building' || phase === 'delivering';
}

export function buildFinished(
  state: WorkerState,
  event: Event<'build-finished'>,
  effects: WorkerMachineEffect[],
): void {
  const lease = state.leases.get(event.lease);
  if (lease === undefined || !(isUnderWay(lease) || lease.phase === 'aborting')) return;
  const counts = isUnderWay(lease) && lease.abortAt === undefined;
  if (counts) effects.push({ type: 'result', home: lease.home, ...ref(lease), outcome: event.outcome });
  forget(state, lease, counts && event.outcome.type === 'built' ? 'built' : 'over', effects);
}

/** Leases without a slot into free ones: those with their inputs here first, of those the home's that is furthest behind. */
export function promote(state: WorkerState, now: number, effects: WorkerMachineEffect[]): void {
  for (const phase of ['waiting', 'fetching'] as const) {
    for (let lease = nextFor(state, phase); lease !== undefined; lease = nextFor(state, phase)) {
      const lack = lacksMemory(state, lease);
      if (lack !== undefined) {
        drop(state, lease, 'busy', lack, effects);
        continue;
      }
      lease.inSlot = true;
      if (phase === 'waiting') build(state, lease, now, effects);
    }
  }
}

function nextFor(state: WorkerState, phase: 'waiting' | 'fetching'): HeldLease | undefined {
  const first = new Map<PeerId, HeldLease>();
  for (const lease of state.leases.values())
    if (!lease.inSlot && lease.phase === phase && !first.has(lease.home)) first.set(lease.home, lease);
  if (first.size === 0) return undefined;
  const count = countSlots(state);
  for (const home of first.keys()) if (!hasSlotFor(state, home, count)) first.delete(home);
  if (first.size < 2) return first.values().next().value;
  // A home that is gone is no longer known, and its leases are not waiting.
  return first.get(fairest(state, new Set(first.keys())) ?? '');
}

function build(state: WorkerState, lease: HeldLease, now: number, effects: WorkerMachineEffect[]): void {
  lease.phase = 'building';
  lease.cores = coresFor(state, lease);
  lease.startedAt = now;
  const { home, drvPath, cores } = lease;
  effects.push({ type: 'build', home, drvPath, cores, ...ref(lease) });
  effects.push({ type: 'started', home, cores, ...ref(lease) });
}

/** Gives back what has not started and may not any more: the owner, the load or the hour has taken slots away. */
export function dropUnstarted(state: WorkerState, effects: WorkerMachineEffect[]): void {
  const unstarted = [...state.leases.values()].filter((lease) => lease.startedAt === undefined).reverse();
  for (const lease of unstarted)
    if (state.leases.has(lease.lease) && !serves(state, lease.home))
      drop(state, lease, 'busy', closed(state), effects);
  for (const lease of unstarted) {
    if (!state.leases.has(lease.lease) || !lease.inSlot) continue;
    const { capacity, self } = state;
    const { taken, byHome } = countSlots(state);
    const own = byHome.get(self) ?? 0;
    const tooMany =
      lease.home === self
        ? taken > capacity.slots && own > capacity.reservedSlots
        : taken - own > capacity.slotsForOthers ||
          taken - Math.min(own, capacity.reservedSlots) > capacity.slots;
    if (tooMany) drop(state, lease, 'busy', closed(state), effects);
  }
}

/** Stops a lease: what fetches or waits is over at once, what builds when its process is gone. */
export function abort(
  state: WorkerState,
  lease: HeldLease,
  reason: string,
  effects: WorkerMachineEffect[],
): void {
  if (lease.phase === 'aborting') return;
  if (isUnderWay(lease)) {
    lease.phase = 'aborting';
    lease.abortAt = undefined;
    effects.push({ type: 'abort', lease: lease.lease, building: true, reason });
    loseFollowers(state, lease, effects);
    return;
  }
  effects.push({ type: 'abort', lease: lease.lease, building: false, reason });
  forget(state, lease, 'over', effects);
}

/** Gives back a lease that has not started. */
export function drop(
  state: WorkerState,
  lease: HeldLease,
  reason: ReturnReason,
  detail: string | undefined,
  effects: WorkerMachineEffect[],
): void {
  effects.push({ type: 'abort', lease: lease.lease, building: false, reason: detail ?? 'given back' });
  effects.push(give(lease, reason, detail));
  forget(state, lease, 'over', effects);
}

/** The lease is over; its slot goes to the next link of its chain, if it was built, before anybody else. */
export function forget(
  state: WorkerState,
  lease: HeldLease,
  end: LeaseEnd,
  effects: WorkerMachineEffect[],
): void {
  state.leases.delete(lease.lease);
  state.settled.set(lease.lease, end);
  freeMemoryOf(state, lease);
  if (end === 'built') {
    for (const follower of followersOf(state, lease)) lead(state, follower, effects);
  } else loseFollowers(state, lease, effects);
  if (state.leases.size === 0) state.nextHeartbeatAt = undefined;
}

/** A link whose turn has come fetches what by now is here, in the slot of the link before. */
function lead(state: WorkerState, lease: HeldLease, effects: WorkerMachineEffect[]): void {
  if (!serves(state, lease.home)) {
    drop(state, lease, 'busy', closed(state), effects);
    return;
  }
  lease.follows = undefined;
  lease.phase = 'fetching';
  lease.inSlot = hasSlotFor(state, lease.home) && lacksMemory(state, lease) === undefined;
  effects.push(fetchFor(lease));
}

function loseFollowers(state: WorkerState, lease: HeldLease, effects: WorkerMachineEffect[]): void {
  for (const follower of followersOf(state, lease))
    drop(state, follower, 'revoked', 'What it follows was not built here.', effects);
}

function followersOf(state: WorkerState, lease: HeldLease): HeldLease[] {
  return [...state.leases.values()].filter(({ follows }) => follows === lease.lease);
}
