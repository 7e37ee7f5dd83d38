import type { PeerId, RequestId } from './types.ts';
import { OFFER_PATIENCE_MS } from './worker-constants.ts';
import type { WorkerMachineEffect } from './worker-protocol.ts';
import { allotAhead, allotSlots, hungryHomes } from './worker-share.ts';
import { countSlots, serves, waitsForSlot } from './worker-slots.ts';
import type { KnownHome, WorkerState } from './worker-state.ts';

/**
 * Makes what is parked match what is free. Hungry homes get their shares; what they leave, and all where none is hungry, is
 * parked at every home that has work at all, so that whoever has something ready first is answered at once.
 */
export function park(state: WorkerState, now: number, effects: WorkerMachineEffect[]): void {
  const count = countSlots(state);
  const aheadFree = Math.max(0, state.aheadSlots - aheadHeld(state));
  noteSilence(state, now);
  const hungry = hungryHomes(state);
  const prompt = hungry.filter(([, home]) => !home.silent);
  const slots = allotSlots(state, prompt, count);
  const ahead = allotAhead(state, prompt, aheadFree, slots);
  // A silent home keeps the offer of its share, but it makes nobody wait.
  const all = prompt.length < hungry.length ? allotSlots(state, hungry, count) : slots;
  const allAhead = all === slots ? ahead : allotAhead(state, hungry, aheadFree, all);
  for (const [peerId, home] of state.homes) {
    if (!home.advertised) continue;
    const own = peerId === state.self;
    let wanted = 0;
    let wantedAhead = 0;
    if (serves(state, peerId)) {
      const spare = own ? Math.max(slots.left, count.reserveLeft) : Math.min(slots.left, count.freeForOthers);
      const share = home.silent ? all : slots;
      wanted = share.byHome.get(peerId) ?? 0;
      wantedAhead = (home.silent ? allAhead : ahead).byHome.get(peerId) ?? 0;
      if (!home.hungry || home.silent) {
        wanted = Math.max(wanted, spare);
        wantedAhead = Math.max(wantedAhead, ahead.left);
      }
    }
    parkAt(state, peerId, home.parked, wanted, false, effects);
    parkAt(state, peerId, home.parkedAhead, wantedAhead, true, effects);
    home.offeredAt = home.hungry && home.parked.size > 0 ? (home.offeredAt ?? now) : undefined;
  }
}

/** Withdraws everything parked at a home. Said aloud, so that a request still under way is not answered later. */
export function unparkAll(peerId: PeerId, home: KnownHome, effects: WorkerMachineEffect[]): void {
  for (const request of [...home.parked, ...home.parkedAhead])
    effects.push({ type: 'unsteal', home: peerId, request });
  home.parked.clear();
  home.parkedAhead.clear();
  home.offeredAt = undefined;
}

/** When the next home's silence becomes too long; nobody waits for a home that is alone. */
export function nextSilenceAt(state: WorkerState): number | undefined {
  if (state.homes.size < 2) return undefined;
  let at: number | undefined;
  let advertised = 0;
  for (const { advertised: has, silent, offeredAt } of state.homes.values()) {
    if (has) advertised++;
    if (silent || offeredAt === undefined) continue;
    const due = offeredAt + OFFER_PATIENCE_MS;
    if (at === undefined || due < at) at = due;
  }
  return advertised < 2 ? undefined : at;
}

function noteSilence(state: WorkerState, now: number): void {
  for (const home of state.homes.values())
    if (home.offeredAt !== undefined && now - home.offeredAt >= OFFER_PATIENCE_MS) home.silent = true;
}

/** How many leases wait for a slot. */
export function aheadHeld(state: WorkerState): number {
  let held = 0;
  for (const lease of state.leases.values()) if (waitsForSlot(lease)) held++;
  return held;
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
