/** A member of the mesh, named by its libp2p peer id. */
export type PeerId = string;
/** One `mesh build`, unique across homes and restarts (the agent makes it). */
export type JobId = string;
/** Absolute store path of a `.drv`. */
export type DrvPath = string;
/** Unique across homes and restarts: `<incarnation of the home>-<number>`. */
export type LeaseId = string;
/** Unique within one worker, across its restarts too. */
export type RequestId = string;

/**
 * Where a derivation may be built. `anywhere`; `prefer-home`: by the home's own worker unless that cannot (fixed-output,
 * `preferLocalBuild`); `home`: by nobody else, because only the home's Nix can tell its outputs' paths; `substitute`: likewise, and
 * whatever machines the job chose, because nothing is built, only fetched from the home's substituters.
 */
export type Place = 'anywhere' | 'prefer-home' | 'home' | 'substitute';

/** One derivation whose outputs are missing, as its job's graph describes it. */
export interface DerivationNode {
  readonly drvPath: DrvPath;
  /** For sentences people read; not an identity. */
  readonly name: string;
  /** Nix's `system`, such as `x86_64-linux`; `builtin` runs on every machine. */
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  /** Other derivations of the job that must be built first; they may arrive later than this node. */
  readonly dependencies: readonly DrvPath[];
  readonly place: Place;
  readonly predictedMs: number;
  /** Store paths; may be empty where they are not known before the build (content-addressed). */
  readonly outputs: readonly string[];
  /** Workers that get it only where no other can: they said they had its outputs and could not give them. */
  readonly avoid?: readonly PeerId[];
}

/** What a worker says it can do. `isHome` marks the home's own worker: at distance zero, and the last resort. */
export interface WorkerInfo {
  readonly peerId: PeerId;
  readonly name: string;
  readonly isHome: boolean;
  readonly systems: readonly string[];
  readonly features: readonly string[];
  readonly slots: number;
}

/** Who may build a job's derivations, and whether it goes on after a failure (`-k`). */
export interface JobOptions {
  /** Only these workers (`--on`, and `--local` as the home alone). Absent: all. */
  readonly only?: readonly PeerId[] | undefined;
  /** Never these workers (`--not`). */
  readonly not?: readonly PeerId[] | undefined;
  readonly keepGoing: boolean;
}

export interface BuiltOutput {
  readonly name: string;
  readonly path: string;
  readonly narBytes: number;
}

/** Times of one build by the worker's own clock, milliseconds; resources where the worker could measure them. */
export interface BuildTimings {
  readonly fetchedMs?: number | undefined;
  readonly startedMs?: number | undefined;
  readonly finishedMs?: number | undefined;
  readonly cpuMs?: number | undefined;
  readonly memoryPeakBytes?: number | undefined;
}

/**
 * How a build ended. `failed` is the build's own answer (non-zero exit, hash mismatch) and is final;
 * `machine-failure` is the machine's problem and sends the derivation elsewhere.
 */
export type BuildOutcome =
  | { readonly type: 'built'; readonly outputs: readonly BuiltOutput[]; readonly timings?: BuildTimings }
  | { readonly type: 'failed'; readonly message: string; readonly timings?: BuildTimings }
  | { readonly type: 'machine-failure'; readonly message: string };

/**
 * Why a worker gives a lease back unbuilt. `revoked` (the home asked) and `busy` (no slot after all) cost the
 * derivation nothing; `machine` counts as a failed attempt and keeps that worker from getting it again.
 */
export type ReturnReason = 'revoked' | 'busy' | 'machine';

/** A lease as a message names it: `attempt` is the fencing number, per derivation and home, rising by one a grant. */
export interface LeaseRef {
  readonly lease: LeaseId;
  readonly attempt: number;
}
