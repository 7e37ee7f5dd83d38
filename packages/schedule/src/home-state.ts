import {
  IMPOSSIBLE_AFTER_MS,
  LEASE_GRACE_MS,
  LEASE_MS,
  MAX_ATTEMPTS,
  MAX_RECENTLY_BUILT,
  REMEMBERED_IDS,
} from './constants.ts';
import type { Need } from './eligibility.ts';
import { DerivationGraph, type Vertex } from './graph.ts';
import type { Heap } from './heap.ts';
import type { DerivationOutcome, HomeEffect, Release } from './home-protocol.ts';
import { Recent } from './recent.ts';
import type {
  DerivationNode,
  DrvPath,
  JobId,
  JobOptions,
  LeaseId,
  PeerId,
  RequestId,
  WorkerInfo,
} from './types.ts';

export interface HomeInit {
  readonly self: PeerId;
  /** Different each time the agent starts; begins every lease id, so that a former life's results are strangers. */
  readonly incarnation: string;
  readonly leaseMs?: number;
  readonly graceMs?: number;
  /** Machines that may fail a derivation before it fails. */
  readonly maxAttempts?: number;
  /** How long something no machine can build waits for one that can. */
  readonly impossibleAfterMs?: number;
}

/**
 * `waiting`: for dependencies, for its claim to settle, or for another home to build it. `skipped`: something it
 * needs failed.
 */
export type DerivationStatus = 'waiting' | 'ready' | 'leased' | 'built' | 'failed' | 'skipped';

/** A derivation at its home, shared by all jobs that want it. */
export interface Derivation extends Vertex<Derivation> {
  node: DerivationNode;
  /** Order of arrival, for ties. */
  readonly age: number;
  readonly jobs: Set<JobId>;
  status: DerivationStatus;
  /** Dependencies not built (yet, or any more). */
  blockers: number;
  /** Fencing number of the newest lease. */
  attempt: number;
  /** Times a machine failed it. */
  failures: number;
  readonly avoid: Set<PeerId>;
  /** Times a worker gave it back unbuilt. */
  returns: number;
  /** Workers that gave it back for want of room, and until when they are not asked again. */
  readonly shunned: Map<PeerId, number>;
  /** Live leases: one, or two while it is raced. */
  readonly leases: Lease[];
  /** It ran a machine out of memory: it gets the next one to itself. */
  alone: boolean;
  work: WorkClass;
  /** Queue entries with another number are stale. */
  entry: number;
  /** When ready: bytes of inputs each worker holds, among those built for this home's jobs. */
  local: Map<PeerId, number>;
  localBytes: number;
  claim: OwnClaim;
  /** Who has the outputs, once they exist. */
  readonly holders: Set<PeerId>;
  outputBytes: number;
  /** NAR hashes of the accepted outputs by path, to compare a second build with. */
  hashes: OutputHashes | undefined;
  outcome: DerivationOutcome | undefined;
}

/** This home's claim. It owns the derivation when its (stamp, peer id) is the smallest of the live claims it knows. */
export interface OwnClaim {
  readonly stamp: number;
  settled: boolean;
  /** The home that builds it instead. */
  deferredTo: PeerId | undefined;
}

/** What is known of another home's claims. `ended` recognises claims that arrive after their release. */
export interface ForeignClaims {
  readonly live: Map<DrvPath, number>;
  readonly ended: Recent<number>;
}

export interface Lease {
  readonly lease: LeaseId;
  readonly attempt: number;
  readonly derivation: Derivation;
  /** Charged for its slot. */
  readonly job: JobId;
  readonly peerId: PeerId;
  readonly ahead: boolean;
  /** Runs against another lease of the same derivation. */
  readonly race: boolean;
  /** Has its worker to itself. */
  readonly alone: boolean;
  /** Cores it was given; a link of a chain has those of the lease it follows. */
  readonly cores: number;
  /** Starts in this lease's slot when that is built. */
  readonly follows: Lease | undefined;
  readonly grantedAt: number;
  /** What fetching its inputs and the build itself are expected to take there. */
  readonly fetchMs: number;
  expectedMs: number;
  deadline: number;
  startedAt: number | undefined;
  /** The idle worker for whose sake it was asked back. */
  revokedFor: PeerId | undefined;
}

export interface Job {
  readonly job: JobId;
  readonly options: JobOptions;
  /** Same text, same wishes about machines. */
  readonly policy: string;
  sealed: boolean;
  readonly derivations: Set<Derivation>;
  /** Its leases that are not links of a chain. */
  running: number;
  readonly weight: number;
  /** Slot time it has fallen behind its share (ahead, if negative) while it and another had something ready. */
  lagMs: number;
  /** Of its derivations, those not built, failed or skipped. */
  remaining: number;
  readonly failed: DrvPath[];
  readonly skipped: DrvPath[];
}

/** NAR hashes by output path, and who built them. */
export interface OutputHashes {
  readonly peerId: PeerId;
  readonly byPath: ReadonlyMap<string, string>;
}

export interface WorkerRecord {
  info: WorkerInfo;
  /** Requests in the order they came. */
  readonly free: RequestId[];
  readonly ahead: RequestId[];
  /** Requests answered or taken back (perhaps before they came). */
  readonly spent: Recent<true>;
  readonly leases: Map<LeaseId, Lease>;
  /** Ready derivations whose inputs are mostly here. */
  readonly nearby: Heap<ReadyEntry>;
  /** How its builds' times compare with what was expected of it. */
  readonly experience: Experience;
  /** What its claimed speed is to be multiplied with; valid while `correctedAt` is the state's `speeds`. */
  correction: number;
  correctedAt: number;
  /** Leases that have or will need a slot of their own, cores they were given, and those that need the machine alone. */
  slotsTaken: number;
  coresTaken: number;
  aloneTaken: number;
  /** When its slots come free; absent when that must be worked out. */
  timetable: Timetable | undefined;
  /** When it last had reason to send requests: it heard of work, or a lease ended. They are on their way for a moment. */
  requestsDueSince: number;
  /** What it was told last of this home's appetite. */
  appetite: Appetite | undefined;
}

export interface ReadyEntry {
  readonly derivation: Derivation;
  readonly entry: number;
  readonly level: number;
  readonly fanOut: number;
}

/** When slots come free, soonest first (never empty), and when unstarted ahead leases are expected to be over. */
export interface Timetable {
  readonly at: number;
  readonly freeTimes: readonly number[];
  readonly aheadEnds: ReadonlyMap<Lease, number>;
}

/** When all work can be over: its longest path on the fastest machine (`path`), and spread over all slots (`area`). */
export interface JobEnd {
  readonly path: number;
  readonly area: number;
  /** How many derivations it could build at once on average: all of them at their shortest over its longest path. */
  readonly width: number;
}

/** Weighted sum of ln(actual / expected) over finished builds. */
export interface Experience {
  weight: number;
  sum: number;
}

/** What races have cost and brought since there were jobs. */
export interface RacingRecord {
  /** Slot time of all workers, busy or idle, up to `countedAt`. */
  slotMs: number;
  countedAt: number;
  wastedMs: number;
  won: number;
  lost: number;
}

export interface Appetite {
  readonly hungry: boolean;
  readonly weight: number;
  /** Since when that is not true any more. */
  readonly since: number | undefined;
}

/** Derivations of one job that the same workers may build. */
export interface WorkClass extends Need {
  readonly key: string;
  /** The oldest of the jobs that want them: it is charged for their slots. */
  readonly job: JobId;
  /** Unfinished derivations in it, and the work they are predicted to be. */
  members: number;
  remainingMs: number;
  /** Likewise, each with as many cores as it can use. */
  shortestMs: number;
  readonly heap: Heap<ReadyEntry>;
  /** The same entries, the least urgent first. */
  readonly reverse: Heap<ReadyEntry>;
  /** Workers that may take its derivations; valid while `generation` is the state's. */
  able: WorkerRecord[];
  ableSet: ReadonlySet<WorkerRecord>;
  /** Their speeds for its system, in the same order. */
  ableSpeeds: number[];
  /** Speed of its fastest worker, and of all their slots together, for its system. */
  topSpeed: number;
  capacity: number;
  generation: number;
  speeds: number;
  /** Since when nobody can. */
  impossibleSince: number | undefined;
}

export interface RecentlyBuilt {
  readonly holders: readonly PeerId[];
  readonly stamp: number;
  readonly until: number;
}

/** All a home knows. Read it freely; only `stepHome` writes. */
export interface HomeState {
  readonly self: PeerId;
  readonly incarnation: string;
  readonly leaseMs: number;
  readonly graceMs: number;
  readonly maxAttempts: number;
  readonly impossibleAfterMs: number;
  readonly graph: DerivationGraph<Derivation>;
  readonly jobs: Map<JobId, Job>;
  readonly workers: Map<PeerId, WorkerRecord>;
  readonly leases: Map<LeaseId, Lease>;
  readonly classes: Map<string, WorkClass>;
  readonly homes: Set<PeerId>;
  readonly foreign: Map<PeerId, ForeignClaims>;
  /** Claims not yet answered by everybody, by stamp. */
  readonly unsettled: Map<number, Derivation[]>;
  readonly recentlyBuilt: Recent<RecentlyBuilt>;
  /** Leases that lost a race: their results may still come, and be compared. */
  readonly raceLosers: Recent<{ readonly peerId: PeerId; readonly drvPath: DrvPath }>;
  readonly advertisedTo: Set<PeerId>;
  /** Over all workers. */
  readonly experience: Experience;
  /** Cores kept busy per build, over builds that could have used more than one: for those nobody knows. */
  readonly parallelism: Experience;
  readonly racing: RacingRecord;
  /** When jobs' shares were added up last. */
  sharedAt: number;
  /** The last estimate, when it was made, and how many leases had begun or ended by then. */
  jobEnd: (JobEnd & { readonly at: number; readonly attempts: number }) | undefined;
  /** Leases begun and ended so far. */
  attempts: number;
  /** Of the machine that has most. */
  mostCores: number;
  /** Changes when a worker comes, goes or changes. */
  generation: number;
  /** Changes when a worker's speed does, or what is known of it. */
  speeds: number;
  /** Builds learned from since. */
  unlearned: number;
  ready: number;
  lastStamp: number;
  nextLease: number;
  nextAge: number;
  nextAdvertisement: number;
  wakeAt: number | undefined;
}

/** One step: what the functions that carry it out have in common. */
export interface Step {
  readonly state: HomeState;
  readonly now: number;
  readonly effects: HomeEffect[];
  /** Claims that ended; told to the other homes in one effect after all others. */
  readonly releases: Release[];
}

export function initialHome(init: HomeInit): HomeState {
  return {
    self: init.self,
    incarnation: init.incarnation,
    leaseMs: init.leaseMs ?? LEASE_MS,
    graceMs: init.graceMs ?? LEASE_GRACE_MS,
    maxAttempts: init.maxAttempts ?? MAX_ATTEMPTS,
    impossibleAfterMs: init.impossibleAfterMs ?? IMPOSSIBLE_AFTER_MS,
    graph: new DerivationGraph(),
    jobs: new Map(),
    workers: new Map(),
    leases: new Map(),
    classes: new Map(),
    homes: new Set(),
    foreign: new Map(),
    unsettled: new Map(),
    recentlyBuilt: new Recent(MAX_RECENTLY_BUILT),
    raceLosers: new Recent(REMEMBERED_IDS),
    advertisedTo: new Set(),
    experience: { weight: 0, sum: 0 },
    parallelism: { weight: 0, sum: 0 },
    jobEnd: undefined,
    attempts: 0,
    racing: { slotMs: 0, countedAt: 0, wastedMs: 0, won: 0, lost: 0 },
    sharedAt: 0,
    mostCores: 1,
    generation: 1,
    speeds: 1,
    unlearned: 0,
    ready: 0,
    lastStamp: 0,
    nextLease: 1,
    nextAge: 1,
    nextAdvertisement: 1,
    wakeAt: undefined,
  };
}

export function isFinished(derivation: Derivation): boolean {
  return derivation.status === 'built' || derivation.status === 'failed' || derivation.status === 'skipped';
}

/** Asks for a tick at `at`, unless one comes sooner anyway. */
export function wakeAt(step: Step, at: number): void {
  if (step.state.wakeAt !== undefined && step.state.wakeAt <= at) return;
  step.state.wakeAt = at;
  step.effects.push({ type: 'wake-at', at });
}
