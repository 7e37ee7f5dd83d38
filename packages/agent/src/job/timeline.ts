import type { DerivationNode } from '@mesh/schedule';
import type { FetchProgress } from '@mesh/transfer';
import type { AttemptReport, DerivationReport } from '@mesh/wire';

/** A lease as its home gave it out. */
export interface GivenLease {
  readonly lease: string;
  readonly attempt: number;
  readonly drvPath: string;
  readonly peerId: string;
  /** It runs against another lease of the same derivation. */
  readonly race: boolean;
  /** It was given before its inputs existed, as the next link of a chain. */
  readonly chained: boolean;
  cores: number;
  readonly expectedMs: number;
  readonly reason: string;
}

/** One lease of a derivation and what became of it; times are milliseconds from the job's start, null until they happen. */
export interface Attempt extends GivenLease {
  readonly leasedMs: number;
  fetchedMs: number | null;
  startedMs: number | null;
  endedMs: number | null;
  outcome: AttemptReport['outcome'];
  /** How far its inputs are, while they come. */
  fetch: Fetching | null;
  /** NAR bytes of its inputs that came. */
  fetchedBytes: number;
  /** Why it ended as it did; empty where there is nothing to say. */
  detail: string;
}

/** What was said last of a fetch that goes on. */
export interface Fetching extends FetchProgress {
  /** Milliseconds from the job's start. */
  readonly saidMs: number;
}

/** What happened to one derivation of a job. */
export interface Timeline {
  readonly drvPath: string;
  readonly name: string;
  readonly dependencies: readonly string[];
  /** With what was predicted last before a machine got it. */
  node: DerivationNode;
  readonly addedMs: number;
  /** Oldest first; two at a time where machines race. */
  readonly attempts: Attempt[];
  /** The attempt whose result is the derivation's. */
  winner: Attempt | null;
  /** Peer id of the machine that finished it; null where none did. */
  peerId: string | null;
  finishedMs: number | null;
  outcome: DerivationReport['outcome'] | null;
  race: { won: boolean; wastedMs: number } | null;
  /** What the build took by the worker's own clock. */
  buildMs: number;
  /** NAR bytes of what it made. */
  outputBytes: number;
  /** Peers that its inputs came from, with bytes. */
  fetched: readonly { peer: string; bytes: number }[];
}

export function newTimeline(node: DerivationNode, addedMs: number): Timeline {
  return {
    drvPath: node.drvPath,
    name: node.name,
    dependencies: node.dependencies,
    node,
    addedMs,
    attempts: [],
    winner: null,
    peerId: null,
    finishedMs: null,
    outcome: null,
    race: null,
    buildMs: 0,
    outputBytes: 0,
    fetched: [],
  };
}

/** Leases that go on, the first before its racer. */
export function liveAttempts(timeline: Timeline): Attempt[] {
  return timeline.attempts.filter((attempt) => attempt.endedMs === null);
}

/** The attempt that speaks for the derivation: the one that won, till then the first that goes on, at last the newest. */
export function mainAttempt(timeline: Timeline): Attempt | undefined {
  return timeline.winner ?? liveAttempts(timeline)[0] ?? timeline.attempts.at(-1);
}

/** Whether some machine builds it now. */
export function isBuilding(timeline: Timeline): boolean {
  return timeline.finishedMs === null && liveAttempts(timeline).some(({ startedMs }) => startedMs !== null);
}

/** Ready when the last dependency ended (or when it was planned); null while one has not. */
export function readyMs(timeline: Timeline, all: ReadonlyMap<string, Timeline>): number | null {
  let ready = timeline.addedMs;
  for (const path of timeline.dependencies) {
    const dependency = all.get(path);
    if (dependency === undefined) continue;
    if (dependency.finishedMs === null || dependency.outcome === 'failed' || dependency.outcome === 'skipped')
      return null;
    ready = Math.max(ready, dependency.finishedMs);
  }
  return ready;
}
