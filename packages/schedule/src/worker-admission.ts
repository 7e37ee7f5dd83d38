import type { LeaseId, LeaseRef, PeerId, ReturnReason } from './types.ts';
import { MAX_FOLLOWERS } from './worker-constants.ts';
import { aheadHeld } from './worker-parking.ts';
import type { WorkerMachineEffect, WorkerMachineEvent } from './worker-protocol.ts';
import { hasSlotFor, lacksMemory, serves } from './worker-slots.ts';
import { type HeldLease, homeOf, type WorkerState } from './worker-state.ts';

type Leased = Extract<WorkerMachineEvent, { type: 'leased' }>;

/** What a lease that just came is: taken, or given back for this reason. */
type Admission =
  | { readonly taken: 'slot' | 'ahead' }
  | { readonly taken: 'following'; readonly follows: LeaseId }
  | { readonly taken: false; readonly reason: ReturnReason; readonly detail?: string };

const BUSY: Admission = { taken: false, reason: 'busy' };

/** A lease came: into a slot, behind the link of its chain that is here, ahead, or back to its home. */
export function leased(state: WorkerState, event: Leased, effects: WorkerMachineEffect[]): void {
  const home = homeOf(state, event.home);
  home.parked.delete(event.request);
  home.parkedAhead.delete(event.request);
  home.silent = false;
  home.offeredAt = undefined;
  home.servedAt = state.nextServed++;
  if (state.leases.has(event.lease) || state.settled.has(event.lease)) return;
  const lease = leaseOf(event);
  const admission = admit(state, event, lease);
  if (admission.taken === false) {
    state.settled.set(lease.lease, 'over');
    effects.push(give(lease, admission.reason, admission.detail));
    return;
  }
  state.leases.set(lease.lease, lease);
  state.nextHeartbeatAt ??= event.now + state.heartbeatMs;
  if (admission.taken === 'following') {
    lease.phase = 'following';
    lease.follows = admission.follows;
    return;
  }
  lease.inSlot = admission.taken === 'slot';
  effects.push(fetchFor(lease));
}

function leaseOf(event: Leased): HeldLease {
  return {
    home: event.home,
    lease: event.lease,
    attempt: event.attempt,
    drvPath: event.drvPath,
    ahead: event.ahead,
    coresWished: Math.max(1, event.cores ?? 1),
    memoryBytes: event.memoryBytes ?? 0,
    follows: undefined,
    phase: 'fetching',
    inSlot: false,
    cores: 0,
    startedAt: undefined,
    memoryMeasured: false,
    abortAt: undefined,
  };
}

function admit(state: WorkerState, { follows, ahead }: Leased, lease: HeldLease): Admission {
  if (!serves(state, lease.home)) return { taken: false, reason: 'busy', detail: closed(state) };
  if (follows !== undefined) {
    if (isLed(state, lease.home, follows))
      return followers(state, lease.home) < MAX_FOLLOWERS ? { taken: 'following', follows } : BUSY;
    if (state.settled.get(follows) === 'over')
      return { taken: false, reason: 'revoked', detail: 'What it follows is not built here.' };
  }
  if (hasSlotFor(state, lease.home)) {
    const detail = lacksMemory(state, lease);
    return detail === undefined ? { taken: 'slot' } : { taken: false, reason: 'busy', detail };
  }
  // Several homes may answer at once for the same slot; whoever comes second gets its derivation back.
  return ahead && aheadHeld(state) < state.aheadSlots ? { taken: 'ahead' } : BUSY;
}

function isLed(state: WorkerState, home: PeerId, follows: LeaseId): boolean {
  const leader = state.leases.get(follows);
  return leader?.home === home && leader.phase !== 'aborting' && leader.abortAt === undefined;
}

function followers(state: WorkerState, home: PeerId): number {
  let waiting = 0;
  for (const lease of state.leases.values())
    if (lease.home === home && lease.phase === 'following') waiting++;
  return waiting;
}

/** Why leases of homes that are not served come back. */
export function closed(state: WorkerState): string {
  return state.capacity.closed ?? 'This machine takes no builds now.';
}

export function fetchFor(lease: HeldLease): WorkerMachineEffect {
  return { type: 'fetch', home: lease.home, drvPath: lease.drvPath, ...ref(lease) };
}

export function give(lease: HeldLease, reason: ReturnReason, detail?: string): WorkerMachineEffect {
  const base = { type: 'returned' as const, home: lease.home, ...ref(lease), reason };
  return detail === undefined ? base : { ...base, detail };
}

export function ref(lease: HeldLease): LeaseRef {
  return { lease: lease.lease, attempt: lease.attempt };
}
