import { HEARTBEAT_MS, HOME_GRACE_MS, REMEMBERED_IDS } from './constants.ts';
import { Recent } from './recent.ts';
import type { DrvPath, LeaseId, PeerId, RequestId } from './types.ts';
import type { WorkerCapacity } from './worker-protocol.ts';

export interface WorkerInit {
  readonly self: PeerId;
  /** Different each time the agent starts; begins every request id. */
  readonly incarnation: string;
  /** Builds at the same time, one core each, for anybody: what it gives until a `capacity` event says more. */
  readonly slots: number;
  /** Instead of what `slots` alone says. */
  readonly capacity?: WorkerCapacity;
  /** Leases beyond the slots whose inputs may be fetched meanwhile. */
  readonly aheadSlots: number;
  readonly heartbeatMs?: number;
  readonly homeGraceMs?: number;
}

/**
 * `following`: waits for the lease before it in its chain. `fetching` and `waiting` (inputs are here) become `building`
 * only in a slot. `delivering`: built, its slot is free, its outputs are on their way to where the result says they are. `aborting`:
 * killed, its process not yet known to be gone, so slot and cores are still taken.
 */
export type LeasePhase = 'following' | 'fetching' | 'waiting' | 'building' | 'delivering' | 'aborting';

export interface HeldLease {
  readonly home: PeerId;
  readonly lease: LeaseId;
  readonly attempt: number;
  readonly drvPath: DrvPath;
  readonly ahead: boolean;
  /** Cores its home would give it, at least 1. */
  readonly coresWished: number;
  /** Memory it is expected to need; 0 where unknown. */
  readonly memoryBytes: number;
  /** The lease of its chain whose slot it gets; undefined once it is a lease like any other. */
  follows: LeaseId | undefined;
  phase: LeasePhase;
  /** Has one of the worker's slots. */
  inSlot: boolean;
  /** Cores it builds with; 0 before. */
  cores: number;
  /** When it began to build. */
  startedAt: number | undefined;
  /** The free memory last measured is without what this build takes. */
  memoryMeasured: boolean;
  /** Its home is gone; when this passes before it is back, the build is stopped. */
  abortAt: number | undefined;
}

export interface KnownHome {
  advertised: boolean;
  /** Has something ready that could start here, as it says. */
  hungry: boolean;
  weight: number;
  /** Of the newest advertisement heard. */
  sequence: number;
  readonly parked: Set<RequestId>;
  readonly parkedAhead: Set<RequestId>;
  /** Since when it has left a free slot offered to it unanswered, though hungry. */
  offeredAt: number | undefined;
  /** It did so for too long: its offers stand, but keep no other home waiting. */
  silent: boolean;
  /** Slot-milliseconds it is behind (positive) or ahead of its share while others were hungry too. */
  lagMs: number;
  /** Number of the last lease it gave, of all that came: breaks ties. */
  servedAt: number;
}

/** What became of a lease: a follower of one that was built may still run, of any other not. */
export type LeaseEnd = 'built' | 'over';

export interface WorkerState {
  readonly self: PeerId;
  readonly incarnation: string;
  readonly heartbeatMs: number;
  readonly homeGraceMs: number;
  readonly aheadSlots: number;
  capacity: WorkerCapacity;
  /** Free memory: as last measured, and what builds that ended since have given back. */
  freeMemoryBytes: number | undefined;
  nextRequest: number;
  nextServed: number;
  /** Up to when the homes' lags are added up. */
  sharedAt: number;
  readonly homes: Map<PeerId, KnownHome>;
  /** In the order they came. */
  readonly leases: Map<LeaseId, HeldLease>;
  /** Leases that are over (or were cancelled before they came): a second grant message must not start them again. */
  readonly settled: Recent<LeaseEnd>;
  nextHeartbeatAt: number | undefined;
  wakeAt: number | undefined;
}

export function initialWorker(init: WorkerInit): WorkerState {
  const { slots } = init;
  const capacity = init.capacity ?? { slots, slotsForOthers: slots, cores: slots, reservedSlots: 0 };
  return {
    self: init.self,
    incarnation: init.incarnation,
    heartbeatMs: init.heartbeatMs ?? HEARTBEAT_MS,
    homeGraceMs: init.homeGraceMs ?? HOME_GRACE_MS,
    aheadSlots: init.aheadSlots,
    capacity,
    freeMemoryBytes: capacity.freeMemoryBytes,
    nextRequest: 1,
    nextServed: 1,
    sharedAt: 0,
    homes: new Map(),
    leases: new Map(),
    settled: new Recent(REMEMBERED_IDS),
    nextHeartbeatAt: undefined,
    wakeAt: undefined,
  };
}

/** The home by this name, known from now on. */
export function homeOf(state: WorkerState, peerId: PeerId): KnownHome {
  let home = state.homes.get(peerId);
  if (home === undefined) {
    home = {
      advertised: false,
      hungry: false,
      weight: 1,
      sequence: -1,
      parked: new Set(),
      parkedAhead: new Set(),
      offeredAt: undefined,
      silent: false,
      lagMs: 0,
      servedAt: 0,
    };
    state.homes.set(peerId, home);
  }
  return home;
}
