import type { JobView } from '@mesh/wire';
import { PROGRESS_STALE_MS } from '../constants.ts';
import { toldProgress } from '../fetch-progress.ts';
import { about } from './job-leases.ts';
import { type Fetching, liveAttempts, type Timeline } from './timeline.ts';

interface Fetches {
  readonly timelines: ReadonlyMap<string, Timeline>;
  readonly resultFetched: readonly { readonly bytes: number }[];
  readonly resultFetch: Fetching | null;
  /** Milliseconds since the job's start. */
  atMs(): number;
}

/** What a job moves: what comes at the moment, and all that came for it, of leases that were in vain too. */
export function jobFetches(
  job: Fetches,
  nameOf: (peerId: string) => string,
): Required<Pick<JobView, 'fetching' | 'fetchedBytes' | 'bytesPerS'>> & Pick<JobView, 'resultFetch'> {
  const now = job.atMs();
  const told = (fetch: Fetching) => toldProgress(current(fetch, now), nameOf);
  const attempts = [...job.timelines.values()].flatMap((timeline) => timeline.attempts);
  const fetching = [...job.timelines.values()]
    .filter(({ finishedMs }) => finishedMs === null)
    .flatMap(liveAttempts)
    .flatMap(({ drvPath, peerId, fetch }) =>
      fetch === null ? [] : [{ ...about(drvPath), peer: nameOf(peerId), ...told(fetch) }],
    );
  const result = job.resultFetch === null ? undefined : told(job.resultFetch);
  const resultBytes = job.resultFetched.reduce((sum, { bytes }) => sum + bytes, result?.bytesDone ?? 0);
  return {
    fetching,
    fetchedBytes: attempts.reduce((sum, attempt) => sum + attempt.fetchedBytes, resultBytes),
    bytesPerS: fetching.reduce((sum, { bytesPerS }) => sum + bytesPerS, result?.bytesPerS ?? 0),
    ...(result === undefined ? {} : { resultFetch: result }),
  };
}

/** Where nothing came for a while the rate is none. */
function current(fetch: Fetching, nowMs: number): Fetching {
  return nowMs - fetch.saidMs > PROGRESS_STALE_MS ? { ...fetch, bytesPerS: 0 } : fetch;
}
