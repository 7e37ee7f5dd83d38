import type { PeerId } from './types.ts';
import { MAX_LAG_MS } from './worker-constants.ts';
import { countSlots, type SlotCount, serves, waitsForSlot } from './worker-slots.ts';
import type { KnownHome, WorkerState } from './worker-state.ts';

/** A home that could use a slot here: how many leases it holds, and how many more it is to be offered. */
interface Sharer {
  readonly peerId: PeerId;
  readonly home: KnownHome;
  /** Leases it has or is about to be offered. */
  held: number;
  offered: number;
}

export interface Allotment {
  readonly byHome: ReadonlyMap<PeerId, number>;
  /** Slots that no home in question may have or wants. */
  readonly left: number;
}

/** Homes that say they have something to start here and may. */
export function hungryHomes(state: WorkerState): [PeerId, KnownHome][] {
  return [...state.homes].filter(([peerId, home]) => home.advertised && home.hungry && serves(state, peerId));
}

/**
 * Divides the free slots among hungry homes in proportion to their weights. Each has a quota of the slots that they hold
 * together; a home below its quota rounded down comes first, then one below it rounded up, and among those the one that has
 * fallen furthest behind over time (`lagMs`), then the one with the least (leases + 1) / weight, Buildbarn's rule. That rule alone
 * would starve a light home of a machine with few slots. The own home's reserved slots go before everything.
 */
export function allotSlots(
  state: WorkerState,
  homes: readonly [PeerId, KnownHome][],
  count: SlotCount,
): Allotment {
  const sharers = sharersOf(homes, (peerId) => count.byHome.get(peerId) ?? 0);
  let left = count.free;
  let forOthers = count.freeForOthers;
  const own = sharers.find(({ peerId }) => peerId === state.self);
  if (own !== undefined) {
    own.offered = count.reserveLeft;
    own.held += count.reserveLeft;
    left -= Math.min(left, count.reserveLeft);
  }
  const pool = sharers.reduce((sum, { held }) => sum + held, left);
  while (left > 0) {
    const next = pick(
      forOthers > 0 ? sharers : sharers.filter((sharer) => sharer === own),
      pool,
      totalWeight(sharers),
    );
    if (next === undefined) break;
    next.offered++;
    next.held++;
    left--;
    if (next !== own) forOthers--;
  }
  return { byHome: offers(sharers), left };
}

/**
 * The same for requests ahead, which are for the slot that is free next: any of those taken, so of each home's as much as
 * one slot of all. `slots` is what the homes were offered just before, as good as taken.
 */
export function allotAhead(
  state: WorkerState,
  homes: readonly [PeerId, KnownHome][],
  ahead: number,
  slots: Allotment,
): Allotment {
  const { byHome, taken } = countSlots(state);
  const waiting = new Map<PeerId, number>();
  for (const lease of state.leases.values())
    if (waitsForSlot(lease)) waiting.set(lease.home, (waiting.get(lease.home) ?? 0) + 1);
  const inSlots = (peerId: PeerId): number => (byHome.get(peerId) ?? 0) + (slots.byHome.get(peerId) ?? 0);
  let all = taken;
  for (const offered of slots.byHome.values()) all += offered;
  const staying = all === 0 ? 0 : 1 - 1 / all;
  const sharers = sharersOf(homes, (peerId) => inSlots(peerId) * staying + (waiting.get(peerId) ?? 0));
  const pool = sharers.reduce((sum, { held }) => sum + held, ahead);
  let left = ahead;
  for (; left > 0; left--) {
    const next = pick(sharers, pool, totalWeight(sharers));
    if (next === undefined) break;
    next.offered++;
    next.held++;
  }
  return { byHome: offers(sharers), left };
}

/** Of these homes' waiting leases, whose goes into the next slot. */
export function fairest(state: WorkerState, peerIds: ReadonlySet<PeerId>): PeerId | undefined {
  const homes = [...state.homes].filter(([peerId]) => peerIds.has(peerId));
  const count = countSlots(state);
  const sharers = sharersOf(homes, (peerId) => count.byHome.get(peerId) ?? 0);
  const pool = sharers.reduce((sum, { held }) => sum + held, count.free);
  return pick(sharers, pool, totalWeight(sharers))?.peerId;
}

/** Adds up what each hungry home got since the last step, against its share of what all of them could have. */
export function addUpLags(state: WorkerState, now: number): void {
  const ms = now - state.sharedAt;
  state.sharedAt = now;
  if (ms <= 0 || state.homes.size < 2) return;
  const homes = hungryHomes(state);
  if (homes.length < 2) return;
  const count = countSlots(state);
  const sharers = sharersOf(homes, (peerId) => count.byHome.get(peerId) ?? 0);
  const pool = sharers.reduce((sum, { held }) => sum + held, count.free);
  const total = totalWeight(sharers);
  for (const { home, held } of sharers) {
    const lag = home.lagMs + ms * ((pool * home.weight) / total - held);
    home.lagMs = Math.min(MAX_LAG_MS, Math.max(-MAX_LAG_MS, lag));
  }
}

/** Rounding must not make a whole quota look like a little less or more. */
const EPSILON = 1e-9;

function pick(sharers: readonly Sharer[], pool: number, total: number): Sharer | undefined {
  let best: Sharer | undefined;
  let bestRank = 0;
  for (const sharer of sharers) {
    const quota = (pool * sharer.home.weight) / total;
    const rank = sharer.held + 1 <= quota + EPSILON ? 2 : sharer.held < quota - EPSILON ? 1 : 0;
    if (best !== undefined && (rank < bestRank || (rank === bestRank && !before(sharer, best)))) continue;
    best = sharer;
    bestRank = rank;
  }
  return best;
}

function before(a: Sharer, b: Sharer): boolean {
  if (a.home.lagMs !== b.home.lagMs) return a.home.lagMs > b.home.lagMs;
  const [ratioA, ratioB] = [(a.held + 1) / a.home.weight, (b.held + 1) / b.home.weight];
  if (ratioA !== ratioB) return ratioA < ratioB;
  return a.home.servedAt < b.home.servedAt;
}

function sharersOf(homes: readonly [PeerId, KnownHome][], held: (peerId: PeerId) => number): Sharer[] {
  return homes.map(([peerId, home]) => ({ peerId, home, held: held(peerId), offered: 0 }));
}

function totalWeight(sharers: readonly Sharer[]): number {
  return sharers.reduce((sum, { home }) => sum + home.weight, 0);
}

function offers(sharers: readonly Sharer[]): Map<PeerId, number> {
  return new Map(sharers.map(({ peerId, offered }) => [peerId, offered]));
}
