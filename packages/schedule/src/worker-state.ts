import { HEARTBEAT_MS, HOME_GRACE_MS, REMEMBERED_IDS } from './constants.ts';
import { Recent } from './recent.ts';
import type { DrvPath, LeaseId, PeerId, RequestId } from './types.ts';

export interface WorkerInit {
  readonly self: PeerId;
  /** Different each time the agent starts; begins every request id. */
  readonly incarnation: string;
  /** Builds at the same time. */
  readonly slots: number;
  /** Leases beyond them whose inputs may be fetched meanwhile. */
  readonly aheadSlots: number;
  readonly heartbeatMs?: number;
  readonly homeGraceMs?: number;
}

/**
 * `fetching` and `waiting` (inputs are here) become `building` only in a slot. `aborting`: killed, its process not
 * yet known to be gone, so the slot is still taken.
 */
export type LeasePhase = 'fetching' | 'waiting' | 'building' | 'aborting';

export interface HeldLease {
  readonly home: PeerId;
  readonly lease: LeaseId;
  readonly attempt: number;
  readonly drvPath: DrvPath;
  readonly ahead: boolean;
  phase: LeasePhase;
  /** Has one of the worker's slots. */
  inSlot: boolean;
  /** Its home is gone; when this passes before it is back, the build is stopped. */
  abortAt: number | undefined;
}

export interface KnownHome {
  advertised: boolean;
  /** Of the newest advertisement heard. */
  sequence: number;
  readonly parked: Set<RequestId>;
  readonly parkedAhead: Set<RequestId>;
}

export interface WorkerState {
  readonly self: PeerId;
  readonly incarnation: string;
  readonly heartbeatMs: number;
  readonly homeGraceMs: number;
  readonly aheadSlots: number;
  slots: number;
  nextRequest: number;
  readonly homes: Map<PeerId, KnownHome>;
  /** In the order they came. */
  readonly leases: Map<LeaseId, HeldLease>;
  /** Leases that are over (or were cancelled before they came): a second grant message must not start them again. */
  readonly settled: Recent<true>;
  nextHeartbeatAt: number | undefined;
  wakeAt: number | undefined;
}

export function initialWorker(init: WorkerInit): WorkerState {
  return {
    self: init.self,
    incarnation: init.incarnation,
    heartbeatMs: init.heartbeatMs ?? HEARTBEAT_MS,
    homeGraceMs: init.homeGraceMs ?? HOME_GRACE_MS,
    aheadSlots: init.aheadSlots,
    slots: init.slots,
    nextRequest: 1,
    homes: new Map(),
    leases: new Map(),
    settled: new Recent(REMEMBERED_IDS),
    nextHeartbeatAt: undefined,
    wakeAt: undefined,
  };
}

/** Slots taken: by builds, by builds being killed, and by leases that fetch with a slot kept for them. */
export function slotsTaken(state: WorkerState): number {
  let taken = 0;
  for (const lease of state.leases.values()) if (lease.inSlot) taken++;
  return taken;
}
