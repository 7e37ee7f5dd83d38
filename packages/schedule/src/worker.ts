import type { LeaseId, LeaseRef, PeerId, RequestId } from './types.ts';
import type { WorkerMachineEffect, WorkerMachineEvent } from './worker-protocol.ts';
import type { HeldLease, KnownHome, WorkerState } from './worker-state.ts';
import { slotsTaken } from './worker-state.ts';

type Leased = Extract<WorkerMachineEvent, { type: 'leased' }>;

/**
 * The worker's decisions: keeps a request parked at every advertising home for each free slot, and `aheadSlots` for
 * what comes next; never builds more than it has slots for, nor before a lease's inputs are here. Changes `state`
 * in place, which nobody else may write; the same state and events give the same effects.
 */
export function stepWorker(
  state: WorkerState,
  event: WorkerMachineEvent,
): { readonly state: WorkerState; readonly effects: WorkerMachineEffect[] } {
  const effects: WorkerMachineEffect[] = [];
  handle(state, event, effects);
  promote(state, effects);
  park(state, effects);
  wake(state, event.now, effects);
  return { state, effects };
}

function handle(state: WorkerState, event: WorkerMachineEvent, effects: WorkerMachineEffect[]): void {
  switch (event.type) {
    case 'home-advertised':
      if (!isNews(state, event.home, event.sequence)) break;
      homeOf(state, event.home).advertised = true;
      for (const lease of state.leases.values()) if (lease.home === event.home) lease.abortAt = undefined;
      break;
    case 'home-withdrawn':
      if (isNews(state, event.home, event.sequence)) withdraw(state, event.home, effects);
      break;
    case 'home-down':
      homeDown(state, event.home, event.now, effects);
      break;
    case 'leased':
      leased(state, event, effects);
      break;
    case 'inputs-ready':
      inputsReady(state, event.lease, effects);
      break;
    case 'inputs-failed': {
      const lease = state.leases.get(event.lease);
      if (lease?.phase !== 'fetching') break;
      forget(state, lease);
      effects.push(give(lease, 'machine', event.message));
      break;
    }
    case 'build-finished': {
      const lease = state.leases.get(event.lease);
      if (lease?.phase !== 'building' && lease?.phase !== 'aborting') break;
      forget(state, lease);
      if (lease.phase === 'building' && lease.abortAt === undefined)
        effects.push({ type: 'result', home: lease.home, ...ref(lease), outcome: event.outcome });
      break;
    }
    case 'cancelled': {
      const lease = state.leases.get(event.lease);
      if (lease === undefined) state.settled.set(event.lease, true);
      else if (lease.home === event.home) abort(state, lease, 'cancelled by its home', effects);
      break;
    }
    case 'aborted': {
      const lease = state.leases.get(event.lease);
      if (lease?.phase === 'aborting') forget(state, lease);
      break;
    }
    case 'revoke': {
      const lease = state.leases.get(event.lease);
      // One with a slot is about to start here: sooner than it could anywhere else.
      if (lease === undefined || lease.inSlot || lease.home !== event.home) break;
      abort(state, lease, 'revoked by its home', effects);
      effects.push(give(lease, 'revoked'));
      break;
    }
    case 'capacity':
      state.slots = event.capacity.slots;
      break;
    case 'tick':
      tick(state, event.now, effects);
      break;
  }
}

function leased(state: WorkerState, event: Leased, effects: WorkerMachineEffect[]): void {
  const home = homeOf(state, event.home);
  home.parked.delete(event.request);
  home.parkedAhead.delete(event.request);
  if (state.leases.has(event.lease) || state.settled.has(event.lease)) return;
  const lease: HeldLease = {
    home: event.home,
    lease: event.lease,
    attempt: event.attempt,
    drvPath: event.drvPath,
    ahead: event.ahead,
    phase: 'fetching',
    inSlot: slotsTaken(state) < state.slots,
    abortAt: undefined,
  };
  // Several homes may answer at once for the same slot; whoever comes second gets its derivation back.
  if (!lease.inSlot && (!event.ahead || aheadHeld(state) >= state.aheadSlots)) {
    state.settled.set(lease.lease, true);
    effects.push(give(lease, 'busy'));
    return;
  }
  state.leases.set(lease.lease, lease);
  state.nextHeartbeatAt ??= event.now + state.heartbeatMs;
  effects.push({ type: 'fetch', home: lease.home, drvPath: lease.drvPath, ...ref(lease) });
}

function inputsReady(state: WorkerState, id: LeaseId, effects: WorkerMachineEffect[]): void {
  const lease = state.leases.get(id);
  if (lease?.phase !== 'fetching') return;
  lease.phase = 'waiting';
  if (!lease.inSlot) {
    // A slot kept for a lease that still fetches is better used now, if the home may revoke that lease.
    const slower = state.leases.values().find((l) => l.inSlot && l.ahead && l.phase === 'fetching');
    if (slower === undefined) return;
    slower.inSlot = false;
    lease.inSlot = true;
  }
  build(lease, effects);
}

function build(lease: HeldLease, effects: WorkerMachineEffect[]): void {
  lease.phase = 'building';
  effects.push({ type: 'build', home: lease.home, drvPath: lease.drvPath, cores: 1, ...ref(lease) });
  effects.push({ type: 'started', home: lease.home, ...ref(lease) });
}

/** Ahead leases into free slots: those with their inputs here first, then in the order they came. */
function promote(state: WorkerState, effects: WorkerMachineEffect[]): void {
  let free = state.slots - slotsTaken(state);
  for (const phase of ['waiting', 'fetching'] as const) {
    for (const lease of state.leases.values()) {
      if (free <= 0) return;
      if (lease.inSlot || lease.phase !== phase) continue;
      lease.inSlot = true;
      free--;
      if (phase === 'waiting') build(lease, effects);
    }
  }
}

/** Makes what is parked at every advertising home match the free slots. */
function park(state: WorkerState, effects: WorkerMachineEffect[]): void {
  const free = Math.max(0, state.slots - slotsTaken(state));
  const ahead = state.slots === 0 ? 0 : Math.max(0, state.aheadSlots - aheadHeld(state));
  for (const [peerId, home] of state.homes) {
    if (!home.advertised) continue;
    parkAt(state, peerId, home.parked, free, false, effects);
    parkAt(state, peerId, home.parkedAhead, ahead, true, effects);
  }
}

function parkAt(
  state: WorkerState,
  home: PeerId,
  parked: Set<RequestId>,
  wanted: number,
  ahead: boolean,
  effects: WorkerMachineEffect[],
): void {
  while (parked.size < wanted) {
    const request = `${state.incarnation}-${state.nextRequest++}`;
    parked.add(request);
    effects.push({ type: 'steal', home, request, ahead });
  }
  for (const request of parked) {
    if (parked.size <= wanted) break;
    parked.delete(request);
    effects.push({ type: 'unsteal', home, request });
  }
}

function isNews(state: WorkerState, peerId: PeerId, sequence: number | undefined): boolean {
  if (sequence === undefined) return true;
  const home = homeOf(state, peerId);
  if (sequence <= home.sequence) return false;
  home.sequence = sequence;
  return true;
}

function withdraw(state: WorkerState, peerId: PeerId, effects: WorkerMachineEffect[]): void {
  const home = homeOf(state, peerId);
  home.advertised = false;
  // Said aloud, so that a request still under way to the home is not answered when it has work again.
  for (const request of [...home.parked, ...home.parkedAhead])
    effects.push({ type: 'unsteal', home: peerId, request });
  home.parked.clear();
  home.parkedAhead.clear();
}

function homeDown(state: WorkerState, peerId: PeerId, now: number, effects: WorkerMachineEffect[]): void {
  state.homes.delete(peerId);
  for (const lease of [...state.leases.values()]) {
    if (lease.home !== peerId) continue;
    if (lease.phase === 'building') lease.abortAt = now + state.homeGraceMs;
    else abort(state, lease, 'its home is gone', effects);
  }
}

function tick(state: WorkerState, now: number, effects: WorkerMachineEffect[]): void {
  for (const lease of [...state.leases.values()])
    if (lease.abortAt !== undefined && lease.abortAt <= now)
      abort(state, lease, 'its home did not come back', effects);
  if (state.nextHeartbeatAt === undefined || state.nextHeartbeatAt > now) return;
  state.nextHeartbeatAt = now + state.heartbeatMs;
  const byHome = new Map<PeerId, LeaseRef[]>();
  for (const lease of state.leases.values()) {
    if (lease.phase === 'aborting' || lease.abortAt !== undefined) continue;
    const leases = byHome.get(lease.home);
    if (leases === undefined) byHome.set(lease.home, [ref(lease)]);
    else leases.push(ref(lease));
  }
  for (const [home, leases] of byHome) effects.push({ type: 'heartbeat', home, leases });
}

function abort(state: WorkerState, lease: HeldLease, reason: string, effects: WorkerMachineEffect[]): void {
  if (lease.phase === 'aborting') return;
  if (lease.phase === 'building') {
    lease.phase = 'aborting';
    lease.abortAt = undefined;
    effects.push({ type: 'abort', lease: lease.lease, building: true, reason });
    return;
  }
  effects.push({ type: 'abort', lease: lease.lease, building: false, reason });
  forget(state, lease);
}

function forget(state: WorkerState, lease: HeldLease): void {
  state.leases.delete(lease.lease);
  state.settled.set(lease.lease, true);
  if (state.leases.size === 0) state.nextHeartbeatAt = undefined;
}

function wake(state: WorkerState, now: number, effects: WorkerMachineEffect[]): void {
  if (state.wakeAt !== undefined && state.wakeAt <= now) state.wakeAt = undefined;
  let at = state.nextHeartbeatAt;
  for (const lease of state.leases.values())
    if (lease.abortAt !== undefined && (at === undefined || lease.abortAt < at)) at = lease.abortAt;
  if (at === undefined || at === state.wakeAt) return;
  state.wakeAt = at;
  effects.push({ type: 'wake-at', at });
}

function aheadHeld(state: WorkerState): number {
  let held = 0;
  for (const lease of state.leases.values()) if (!lease.inSlot) held++;
  return held;
}

function homeOf(state: WorkerState, peerId: PeerId): KnownHome {
  let home = state.homes.get(peerId);
  if (home === undefined) {
    home = { advertised: false, sequence: -1, parked: new Set(), parkedAhead: new Set() };
    state.homes.set(peerId, home);
  }
  return home;
}

function give(
  lease: HeldLease,
  reason: 'revoked' | 'busy' | 'machine',
  detail?: string,
): WorkerMachineEffect {
  const base = { type: 'returned' as const, home: lease.home, ...ref(lease), reason };
  return detail === undefined ? base : { ...base, detail };
}

function ref(lease: HeldLease): LeaseRef {
  return { lease: lease.lease, attempt: lease.attempt };
}
