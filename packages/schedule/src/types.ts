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
  /** Median wall time with one core of a machine of speed 1. */
  readonly predictedMs: number;
  /** What else is remembered of builds of this name; absent where nothing is. */
  readonly history?: BuildHistory | undefined;
  /** Store paths; may be empty where they are not known before the build (content-addressed). */
  readonly outputs: readonly string[];
  /** Only this home learns what paths its outputs have: no other home builds it for this one, and nothing follows it unasked. */
  readonly unresolved?: boolean;
  /**
   * Who has its outputs already, or that substituters have them (any word that is no peer id): it counts as built until they turn out
   * to be lost.
   */
  readonly heldBy?: readonly PeerId[];
  /** NAR bytes of what is held; absent where unknown. */
  readonly heldBytes?: number;
  /** Workers that get it only where no other can: they said they had its outputs and could not give them. */
  readonly avoid?: readonly PeerId[];
}

/** What earlier builds of a name, or of its family, tell about the next one. */
export interface BuildHistory {
  /** Whose times `predictedMs` comes from: builds of the very name, of its family, or of anything at all. */
  readonly basis: 'name' | 'family' | 'cold';
  readonly samples: number;
  /** Standard deviation of the logarithm of the duration: 0 is certain, 1 is off by a factor e. */
  readonly spread: number;
  /** Largest memory such a build was seen to use (or to die of). */
  readonly memoryPeakBytes?: number | undefined;
  readonly outputBytes?: number | undefined;
  /** Cores such builds keep busy on average (processor time over wall time). */
  readonly busyCores?: number | undefined;
  /** Share of the time on one core that more cores divide (Amdahl), 0 to 1; `predictedMs` is the time on one core. */
  readonly parallelShare?: number | undefined;
  /** Says why racing it is useless or wrong; absent where it may be raced. */
  readonly neverRace?: 'non-deterministic' | 'never-wins' | undefined;
  /** An earlier build ran out of memory: it gets a machine to itself or a bigger one. */
  readonly ranOutOfMemory?: boolean | undefined;
}

/** What a worker says it can do. `isHome` marks the home's own worker: at distance zero, and the last resort. */
export interface WorkerInfo {
  readonly peerId: PeerId;
  readonly name: string;
  readonly isHome: boolean;
  readonly systems: readonly string[];
  readonly features: readonly string[];
  /** It is for derivations that require all of these, which it has too. */
  readonly mandatoryFeatures?: readonly string[] | undefined;
  /** What it builds is in the home's store when it says so: others get it there, also when the worker is gone. */
  readonly delivers?: boolean | undefined;
  readonly slots: number;
  /** Processor cores it gives to builds, all together. Absent: as many as slots. */
  readonly cores?: number | undefined;
  /** Relative to an ordinary machine, as measured; absent: 1. */
  readonly speed?: number | undefined;
  /** Of `systems`, those it can only emulate, with how fast a build is compared to a native one (0.1: ten times slower). */
  readonly emulated?: Readonly<Record<string, number>> | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly memoryBytes?: number | undefined;
  /** Memory and store disk free at the moment; absent where it does not say. */
  readonly freeMemoryBytes?: number | undefined;
  readonly freeDiskBytes?: number | undefined;
  /** Why it has no slots for this home at the moment, as the end of "takes no builds now: …"; absent: nobody said. */
  readonly closed?: string | undefined;
  /** Measured rate at which this home's bytes reach it; absent: a LAN's. Meaningless for the home itself. */
  readonly linkBytesPerMs?: number | undefined;
}

/**
 * One wish about machines. Of `peer` the name or peer id was looked up already; `name` stands for a machine that is
 * not known (yet).
 */
export type MachineTerm =
  | { readonly type: 'peer'; readonly peerId: PeerId }
  | { readonly type: 'name'; readonly value: string }
  | { readonly type: 'system'; readonly value: string }
  | { readonly type: 'feature'; readonly value: string }
  | { readonly type: 'tag'; readonly value: string }
  | { readonly type: 'cores' | 'speed' | 'memory'; readonly atLeast: number };

/** Machines that suit all of these terms; of several selectors one is enough. `text` is what the user wrote. */
export interface MachineSelector {
  readonly text: string;
  readonly terms: readonly MachineTerm[];
}

/** Who may build a job's derivations, and whether it goes on after a failure (`-k`). */
export interface JobOptions {
  /** Only these workers (`--on`, and `--local` as the home alone). Absent: all. */
  readonly only?: readonly MachineSelector[] | undefined;
  /** Never these workers (`--not`). */
  readonly not?: readonly MachineSelector[] | undefined;
  /** Rather these, where they end about as soon (`--prefer`). */
  readonly prefer?: readonly MachineSelector[] | undefined;
  /** Weight against other jobs, here and elsewhere (`--priority`): 1 is ordinary, 2 gets twice as many slots. */
  readonly priority?: number | undefined;
  readonly keepGoing: boolean;
}

export interface BuiltOutput {
  readonly name: string;
  readonly path: string;
  readonly narBytes: number;
  /** `sha256:…` as Nix writes it, for comparing two builds of the same derivation. */
  readonly narHash?: string | undefined;
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
  | {
      readonly type: 'machine-failure';
      readonly message: string;
      /** It ran out of memory: next it gets a bigger machine, or one to itself. */
      readonly outOfMemory?: boolean | undefined;
    };

/**
 * Why a worker gives a lease back unbuilt. `revoked` (the home asked) and `busy` (no slot, memory or disk after all) cost the
 * derivation nothing; `machine` counts as a failed attempt and keeps that worker from getting it again.
 */
export type ReturnReason = 'revoked' | 'busy' | 'machine';

/** A lease as a message names it: `attempt` is the fencing number, per derivation and home, rising by one a grant. */
export interface LeaseRef {
  readonly lease: LeaseId;
  readonly attempt: number;
}
