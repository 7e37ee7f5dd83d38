import type {
  BuildOutcome,
  BuildTimings,
  BuiltOutput,
  DerivationNode,
  DrvPath,
  JobId,
  JobOptions,
  LeaseId,
  LeaseRef,
  PeerId,
  RequestId,
  ReturnReason,
  WorkerInfo,
} from './types.ts';

/** How a home that gives up its claim on a derivation ended with it. `gone`: not built by it, take it back. */
export type ReleaseOutcome =
  | { readonly type: 'built'; readonly holders: readonly PeerId[] }
  | { readonly type: 'gone' };

/** One derivation of a release; `stamp` is that of the claim which it ends. */
export interface Release {
  readonly drvPath: DrvPath;
  readonly stamp: number;
  readonly outcome: ReleaseOutcome;
}

/**
 * Everything that can happen to a home. `now` is milliseconds of one clock that never goes back; every event
 * about a lease, request, worker or job the home does not know is ignored, so duplicates and stragglers do no harm.
 */
export type HomeEvent = { readonly now: number } & (
  | JobEvent
  | WorkerEvent
  | LeaseEvent
  | StoreEvent
  | ClaimEvent
  /** Time has come: the agent sends one at (or after) the last `wake-at`; earlier ones are harmless. */
  | { readonly type: 'tick' }
);

export type JobEvent =
  | { readonly type: 'job-added'; readonly job: JobId; readonly options: JobOptions }
  /**
   * Part of a job's graph, in any order and any number of pieces. A derivation that another job brought already
   * becomes shared: built once, both wait for it. Pieces for a job that is over are ignored.
   */
  | {
      readonly type: 'derivations-added';
      readonly job: JobId;
      readonly derivations: readonly DerivationNode[];
    }
  /** What is known by now of derivations added before: other builds have ended since. Those not known are ignored. */
  | {
      readonly type: 'predictions-changed';
      readonly predictions: ReadonlyMap<DrvPath, Pick<DerivationNode, 'predictedMs' | 'history'>>;
    }
  /** No more derivations will come: the job ends when all it has are done. */
  | { readonly type: 'job-sealed'; readonly job: JobId }
  | { readonly type: 'job-cancelled'; readonly job: JobId };

export type WorkerEvent =
  /** A worker is connected; again with other figures when they change. The home's own worker comes this way too. */
  | { readonly type: 'worker-up'; readonly worker: WorkerInfo }
  | { readonly type: 'worker-down'; readonly peerId: PeerId }
  /** `ahead: false`: a slot is free and waits. `ahead: true`: would fetch inputs for the next while slots are busy. */
  | {
      readonly type: 'steal';
      readonly peerId: PeerId;
      readonly request: RequestId;
      readonly ahead: boolean;
    }
  | { readonly type: 'unsteal'; readonly peerId: PeerId; readonly request: RequestId };

export type LeaseEvent =
  /** All leases this worker holds from this home. Those listed are renewed, those the home does not know cancelled. */
  | { readonly type: 'heartbeat'; readonly peerId: PeerId; readonly leases: readonly LeaseRef[] }
  | ({ readonly type: 'started'; readonly peerId: PeerId } & LeaseRef)
  | ({
      readonly type: 'returned';
      readonly peerId: PeerId;
      readonly reason: ReturnReason;
      readonly detail?: string | undefined;
    } & LeaseRef)
  /** Accepted by this step, or fenced by it: the first with the current attempt wins. */
  | ({ readonly type: 'result'; readonly peerId: PeerId; readonly outcome: BuildOutcome } & LeaseRef);

export type StoreEvent =
  /** The outputs exist already (substituted, found at a member): nothing to build. */
  | { readonly type: 'outputs-valid'; readonly drvPath: DrvPath; readonly holders: readonly PeerId[] }
  /** `peerId` (often the home itself) now has the outputs too. */
  | { readonly type: 'outputs-held'; readonly drvPath: DrvPath; readonly peerId: PeerId }
  /** Nobody has the outputs any more (or none of `holders` was telling the truth): builds it again if needed. */
  | { readonly type: 'outputs-lost'; readonly drvPath: DrvPath };

/**
 * Claims make two homes build a shared derivation once. Claims, their answers and releases between two homes
 * travel on one ordered stream. Reordering costs at worst a second build, never a wait for ever.
 */
export type ClaimEvent =
  /** A member that may submit jobs is connected: the home tells it its claims, and waits for its answer to new ones. */
  | { readonly type: 'home-up'; readonly from: PeerId }
  /** It is gone: what was left to it comes back. */
  | { readonly type: 'home-down'; readonly from: PeerId }
  /** Another home's claim; ignored unless `home-up` came before. After this step (and after sending its effects) the agent answers. */
  | {
      readonly type: 'claim-received';
      readonly from: PeerId;
      readonly stamp: number;
      readonly drvs: readonly DrvPath[];
    }
  /** Every connected home has answered the claim with this stamp, or is down, or has taken too long. */
  | { readonly type: 'claim-settled'; readonly stamp: number }
  | { readonly type: 'claim-released'; readonly from: PeerId; readonly releases: readonly Release[] };

/** How a derivation ended for this home's jobs. */
export type DerivationOutcome =
  | {
      readonly type: 'built';
      readonly peerId: PeerId;
      readonly lease: LeaseId;
      readonly attempt: number;
      readonly outputs: readonly BuiltOutput[];
      readonly timings?: BuildTimings;
    }
  /** Not built by this home: it turned out to exist at `holders`. */
  | { readonly type: 'valid'; readonly holders: readonly PeerId[] }
  /**
   * `build`: the build's own answer. `machines`: every machine tried failed. `impossible`: no machine has the
   * system and features. `invalid`: the graph itself is wrong (cycle, a dependency that never came).
   */
  | {
      readonly type: 'failed';
      readonly kind: 'build' | 'machines' | 'impossible' | 'invalid';
      readonly message: string;
      readonly peerId?: PeerId;
      readonly lease?: LeaseId;
      readonly attempt?: number;
      readonly timings?: BuildTimings;
    };

/** Everything a home wants done. The agent carries effects out in order. */
export type HomeEffect =
  | {
      readonly type: 'grant';
      readonly peerId: PeerId;
      /** The request it answers. */
      readonly request: RequestId;
      readonly lease: LeaseId;
      readonly attempt: number;
      readonly drvPath: DrvPath;
      /** May have to wait for a slot, and may be revoked until started. */
      readonly ahead: boolean;
      /** By the home's clock; the worker gets `deadline - now`. */
      readonly deadline: number;
      /** Cores the build may use (NIX_BUILD_CORES); the worker gives fewer where fewer are free. */
      readonly cores: number;
      /** Memory it is expected to need; 0 where unknown. */
      readonly memoryBytes: number;
      /** What it is expected to take on this worker. */
      readonly expectedMs: number;
      /** Runs against a lease of the same derivation elsewhere; the first valid result wins. */
      readonly race: boolean;
      /** Starts in the slot of this lease of the same worker when that one is built: both are links of one chain. */
      readonly follows?: LeaseId | undefined;
      /** One sentence with numbers: why this derivation, why this worker. */
      readonly reason: string;
      /** The oldest job that waits for it. */
      readonly job: JobId;
    }
  /** Please give this unstarted ahead lease back: an idle slot elsewhere could start it. May be refused silently. */
  | ({ readonly type: 'revoke'; readonly peerId: PeerId } & LeaseRef)
  /** Stop it at once; the home has forgotten the lease already and expects no answer. */
  | ({ readonly type: 'cancel'; readonly peerId: PeerId; readonly reason: string } & LeaseRef)
  | {
      readonly type: 'derivation-finished';
      readonly drvPath: DrvPath;
      readonly jobs: readonly JobId[];
      readonly outcome: DerivationOutcome;
    }
  /** The only machines that had its outputs are gone and somebody still needs them: it will be built again. */
  | {
      readonly type: 'derivation-lost';
      readonly drvPath: DrvPath;
      readonly jobs: readonly JobId[];
    }
  /** One derivation could not be built on a machine and will be tried elsewhere: for the report and the user. */
  | {
      readonly type: 'attempt-failed';
      readonly drvPath: DrvPath;
      readonly peerId: PeerId;
      readonly lease: LeaseId;
      readonly attempt: number;
      readonly message: string;
    }
  /** Precedes the `derivation-finished` with kind `impossible`, once for each job that wanted it. */
  | { readonly type: 'impossible'; readonly drvPath: DrvPath; readonly job: JobId; readonly message: string }
  | {
      readonly type: 'job-finished';
      readonly job: JobId;
      readonly ok: boolean;
      readonly cancelled: boolean;
      readonly failed: readonly DrvPath[];
      /** Never tried: something they need failed, or the job stopped. */
      readonly skipped: readonly DrvPath[];
    }
  /** Tell this worker whether it is worth parking requests here; of two, the one with the larger `sequence` holds. */
  | {
      readonly type: 'advertise';
      readonly peerId: PeerId;
      readonly work: boolean;
      /** Something is ready that this worker could start now: it counts when slots are shared out between homes. */
      readonly hungry: boolean;
      /** Sum of this home's running jobs' priorities, at least one's worth. */
      readonly weight: number;
      readonly sequence: number;
    }
  /** A race is over. `wastedMs` is what the loser had spent; `raceWon` says whether the second runner was first. */
  | {
      readonly type: 'race-finished';
      readonly drvPath: DrvPath;
      readonly winner: PeerId;
      readonly loser: PeerId;
      readonly raceWon: boolean;
      readonly wastedMs: number;
    }
  /** Two builds of one input-addressed derivation gave different bytes; the first is the one in use. */
  | {
      readonly type: 'outputs-differ';
      readonly drvPath: DrvPath;
      readonly output: string;
      readonly first: { readonly peerId: PeerId; readonly narHash: string };
      readonly second: { readonly peerId: PeerId; readonly narHash: string };
    }
  /**
   * To every connected home, or to `to` alone (a newcomer; needs no settling). Answered by `claim-settled` with
   * the same stamp when `to` is absent. A home alone claims nothing.
   */
  | {
      readonly type: 'claim';
      readonly stamp: number;
      readonly drvs: readonly DrvPath[];
      readonly to?: PeerId;
    }
  /** To every connected home, or to `to` alone. */
  | { readonly type: 'release'; readonly releases: readonly Release[]; readonly to?: PeerId }
  /** Send `tick` at this time; replaces the wake-up asked for before. */
  | { readonly type: 'wake-at'; readonly at: number };
