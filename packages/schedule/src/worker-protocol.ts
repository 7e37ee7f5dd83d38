import type { BuildOutcome, DrvPath, LeaseId, LeaseRef, PeerId, RequestId, ReturnReason } from './types.ts';

/** What a machine gives to builds at the moment. */
export interface WorkerCapacity {
  /** Builds at once, for all homes. */
  readonly slots: number;
  /** Of them, those other homes may have (owner's limits, pause, load): 0 takes nobody else's work. */
  readonly slotsForOthers: number;
  /** Cores for all builds together. */
  readonly cores: number;
  /** Slots the machine's own jobs get even while others fill all of them. */
  readonly reservedSlots: number;
  /** Memory free as just measured, what running builds use taken off; absent: not watched. */
  readonly freeMemoryBytes?: number | undefined;
  /** Homes served at all; absent: every one. This machine's own always is. */
  readonly homes?: readonly PeerId[] | undefined;
  /** One sentence why others get nothing, told to homes whose leases are given back for it. */
  readonly closed?: string | undefined;
}

/** Everything that can happen to a worker. `now` is milliseconds of one clock that never goes back. */
export type WorkerMachineEvent = {
  readonly now: number;
} /** This home has work (again); the agent's own home comes this way too. May lack `sequence` on an ordered stream. */ & (
  | {
      readonly type: 'home-advertised';
      readonly home: PeerId;
      /** Something is ready there that this worker could start; absent: yes. */
      readonly hungry?: boolean;
      /** Its share against other homes; absent: 1. */
      readonly weight?: number;
      readonly sequence?: number;
    }
  | { readonly type: 'home-withdrawn'; readonly home: PeerId; readonly sequence?: number }
  /** A connection to this home begins: it is asked at once whether it still wants what is under way for it. */
  | { readonly type: 'home-up'; readonly home: PeerId }
  /** The connection is gone. Leases not started are dropped, running builds get a grace for the home to come back. */
  | { readonly type: 'home-down'; readonly home: PeerId }
  | ({
      readonly type: 'leased';
      readonly home: PeerId;
      readonly request: RequestId;
      readonly drvPath: DrvPath;
      readonly ahead: boolean;
      /** Cores its home would give it; absent or 0: one. */
      readonly cores?: number;
      /** Memory it is expected to need; absent or 0: unknown. */
      readonly memoryBytes?: number;
      /** Starts in the slot of this lease of the same home when that one is built. */
      readonly follows?: LeaseId;
    } & LeaseRef)
  /** All inputs of this lease are in the local store and rooted. */
  | { readonly type: 'inputs-ready'; readonly lease: LeaseId }
  | {
      readonly type: 'inputs-failed';
      readonly lease: LeaseId;
      readonly message: string;
      /** Absent: `machine`. */
      readonly reason?: ReturnReason;
    }
  | { readonly type: 'build-finished'; readonly lease: LeaseId; readonly outcome: BuildOutcome }
  /** The build has ended, though its outputs have yet to be moved before `build-finished` tells of them. */
  | { readonly type: 'delivering'; readonly lease: LeaseId }
  /** The home cancels; `home` must be the one that granted it. */
  | { readonly type: 'cancelled'; readonly home: PeerId; readonly lease: LeaseId }
  /** What an `abort` of a running build ends with: its process is gone and the slot free. */
  | { readonly type: 'aborted'; readonly lease: LeaseId }
  | { readonly type: 'revoke'; readonly home: PeerId; readonly lease: LeaseId }
  /** What this machine gives to builds from now on; running ones are never stopped for it. */
  | { readonly type: 'capacity'; readonly capacity: WorkerCapacity }
  | { readonly type: 'tick' }
);

/** Everything a worker wants done; those with a `home` are messages to it. */
export type WorkerMachineEffect =
  | {
      readonly type: 'steal';
      readonly home: PeerId;
      readonly request: RequestId;
      readonly ahead: boolean;
    }
  | { readonly type: 'unsteal'; readonly home: PeerId; readonly request: RequestId }
  /** Bring the inputs; ends with `inputs-ready` or `inputs-failed`. */
  | ({ readonly type: 'fetch'; readonly home: PeerId; readonly drvPath: DrvPath } & LeaseRef)
  /** Build now; ends with `build-finished`. */
  | ({
      readonly type: 'build';
      readonly home: PeerId;
      readonly drvPath: DrvPath;
      /** What it gets of the machine's cores; all builds together never get more than there are. */
      readonly cores: number;
    } & LeaseRef)
  /** Stop fetching (`building: false`, needs no answer) or kill the build (`building: true`, ends with `aborted`). */
  | { readonly type: 'abort'; readonly lease: LeaseId; readonly building: boolean; readonly reason: string }
  /** With the cores it was given. */
  | ({ readonly type: 'started'; readonly home: PeerId; readonly cores: number } & LeaseRef)
  | ({
      readonly type: 'returned';
      readonly home: PeerId;
      readonly reason: ReturnReason;
      readonly detail?: string;
    } & LeaseRef)
  | ({ readonly type: 'result'; readonly home: PeerId; readonly outcome: BuildOutcome } & LeaseRef)
  | { readonly type: 'heartbeat'; readonly home: PeerId; readonly leases: readonly LeaseRef[] }
  /** Send `tick` at this time; replaces the wake-up asked for before. */
  | { readonly type: 'wake-at'; readonly at: number };
