import type { DerivationReport } from '@mesh/wire';

/** What happened to one derivation of a job; times are milliseconds from the job's start, null until they happen. */
export interface Timeline {
  drvPath: string;
  name: string;
  dependencies: readonly string[];
  addedMs: number;
  /** Peer id of the machine that holds or held the lease. */
  peerId: string | null;
  attempt: number;
  leasedMs: number | null;
  fetchedMs: number | null;
  startedMs: number | null;
  finishedMs: number | null;
  outcome: DerivationReport['outcome'] | null;
  why: string;
  /** What the build took by the worker's own clock. */
  buildMs: number;
  /** Peers that its inputs came from, with bytes. */
  fetched: readonly { peer: string; bytes: number }[];
}

export function newTimeline(
  drvPath: string,
  name: string,
  dependencies: readonly string[],
  addedMs: number,
): Timeline {
  return {
    drvPath,
    name,
    dependencies,
    addedMs,
    peerId: null,
    attempt: 0,
    leasedMs: null,
    fetchedMs: null,
    startedMs: null,
    finishedMs: null,
    outcome: null,
    why: '',
    buildMs: 0,
    fetched: [],
  };
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
