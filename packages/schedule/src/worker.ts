import type { LeaseRef, PeerId } from './types.ts';
import { leased, ref } from './worker-admission.ts';
import {
  abort,
  buildFinished,
  delivering,
  drop,
  dropUnstarted,
  forget,
  inputsFailed,
  inputsReady,
  isUnderWay,
  promote,
} from './worker-leases.ts';
import { nextSilenceAt, park, unparkAll } from './worker-parking.ts';
import type { WorkerMachineEffect, WorkerMachineEvent } from './worker-protocol.ts';
import { addUpLags } from './worker-share.ts';
import { setCapacity } from './worker-slots.ts';
import { homeOf, type WorkerState } from './worker-state.ts';

/**
 * The worker's decisions: offers free slots to homes by their shares, and `aheadSlots` for what comes next; never builds
 * more than it has slots and cores for (but see `reservedSlots`), nor before a lease's inputs are here. Changes `state`
 * in place, which nobody else may write; the same state and events give the same effects.
 */
export function stepWorker(
  state: WorkerState,
  event: WorkerMachineEvent,
): { readonly state: WorkerState; readonly effects: WorkerMachineEffect[] } {
  const effects: WorkerMachineEffect[] = [];
  const { now } = event;
  addUpLags(state, now);
  handle(state, event, effects);
  promote(state, now, effects);
  park(state, now, effects);
  wake(state, now, effects);
  return { state, effects };
}

function handle(state: WorkerState, event: WorkerMachineEvent, effects: WorkerMachineEffect[]): void {
  switch (event.type) {
    case 'home-advertised':
      if (isNews(state, event.home, event.sequence)) advertised(state, event);
      break;
    case 'home-withdrawn':
      if (isNews(state, event.home, event.sequence)) {
        const home = homeOf(state, event.home);
        home.advertised = false;
        home.hungry = false;
        unparkAll(event.home, home, effects);
      }
      break;
    case 'home-up':
      homeUp(state, event.home, effects);
      break;
    case 'home-down':
      homeDown(state, event.home, event.now, effects);
      break;
    case 'leased':
      leased(state, event, effects);
      break;
    case 'inputs-ready':
      inputsReady(state, event.lease, event.now, effects);
      break;
    case 'inputs-failed':
      inputsFailed(state, event, effects);
      break;
    case 'delivering':
      delivering(state, event.lease);
      break;
    case 'build-finished':
      buildFinished(state, event, effects);
      break;
    case 'cancelled': {
      const lease = state.leases.get(event.lease);
      if (lease === undefined) {
        if (!state.settled.has(event.lease)) state.settled.set(event.lease, 'over');
      } else if (lease.home === event.home) abort(state, lease, 'cancelled by its home', effects);
      break;
    }
    case 'aborted': {
      const lease = state.leases.get(event.lease);
      if (lease?.phase === 'aborting') forget(state, lease, 'over', effects);
      break;
    }
    case 'revoke': {
      const lease = state.leases.get(event.lease);
      // One with a slot is about to start here: sooner than it could anywhere else.
      if (lease === undefined || lease.inSlot || lease.home !== event.home) break;
      drop(state, lease, 'revoked', undefined, effects);
      break;
    }
    case 'capacity':
      setCapacity(state, event.capacity, event.now);
      dropUnstarted(state, effects);
      break;
    case 'tick':
      tick(state, event.now, effects);
      break;
  }
}

function advertised(
  state: WorkerState,
  event: Extract<WorkerMachineEvent, { type: 'home-advertised' }>,
): void {
  const home = homeOf(state, event.home);
  home.advertised = true;
  home.hungry = event.hungry ?? true;
  home.weight = event.weight ?? 1;
  home.silent = false;
  home.offeredAt = undefined;
  // What it missed while it had nothing to start is not owed to it.
  if (!home.hungry) home.lagMs = Math.min(0, home.lagMs);
}

function isNews(state: WorkerState, peerId: PeerId, sequence: number | undefined): boolean {
  if (sequence === undefined) return true;
  const home = homeOf(state, peerId);
  if (sequence <= home.sequence) return false;
  home.sequence = sequence;
  return true;
}

function homeUp(state: WorkerState, peerId: PeerId, effects: WorkerMachineEffect[]): void {
  const held = [...state.leases.values()].filter(
    ({ home, phase }) => home === peerId && phase !== 'aborting',
  );
  for (const lease of held) lease.abortAt = undefined;
  if (held.length > 0) effects.push({ type: 'heartbeat', home: peerId, leases: held.map(ref) });
}

function homeDown(state: WorkerState, peerId: PeerId, now: number, effects: WorkerMachineEffect[]): void {
  state.homes.delete(peerId);
  for (const lease of [...state.leases.values()]) {
    if (lease.home !== peerId) continue;
    if (isUnderWay(lease)) lease.abortAt = now + state.homeGraceMs;
    else if (state.leases.has(lease.lease)) abort(state, lease, 'its home is gone', effects);
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

function wake(state: WorkerState, now: number, effects: WorkerMachineEffect[]): void {
  if (state.wakeAt !== undefined && state.wakeAt <= now) state.wakeAt = undefined;
  let at = state.nextHeartbeatAt;
  const sooner = (other: number | undefined): void => {
    if (other !== undefined && (at === undefined || other < at)) at = other;
  };
  for (const lease of state.leases.values()) sooner(lease.abortAt);
  sooner(nextSilenceAt(state));
  if (at === undefined || at === state.wakeAt) return;
  state.wakeAt = at;
  effects.push({ type: 'wake-at', at });
}
