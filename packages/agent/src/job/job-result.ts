import type { FetchProgress } from '@mesh/transfer';
import type { Holders } from '../home/holders.ts';
import type { Job } from './job.ts';
import { Planner, type PlannerComponents } from './planner.ts';
import { wantedOutputs } from './wanted-outputs.ts';

/** Brings wanted paths home. */
export interface ResultFetcher {
  fetchClosure(
    paths: readonly { path: string; holders: readonly string[]; upstream?: boolean }[],
    options: {
      signal: AbortSignal;
      onPlan(paths: number, bytes: number): void;
      onProgress(progress: FetchProgress): void;
    },
  ): Promise<{ sources: readonly { peer: string; bytes: number }[] }>;
}

/** Roots paths here for the time of a job. */
export type RootPaths = (paths: string[]) => Promise<void>;

export interface ResultComponents {
  holders: Holders;
  store: PlannerComponents;
  fetcher: ResultFetcher;
}

/** Brings home the wanted outputs of a job that are not here yet; those of what `failed` do not exist. */
export async function fetchResults(
  job: Job,
  planner: Planner,
  failed: ReadonlySet<string>,
  { signal, root }: { signal: AbortSignal; root: RootPaths },
  { holders, store, fetcher }: ResultComponents,
): Promise<void> {
  const outputs = (await wantedOutputs(job, planner, failed)).flatMap((wanted) =>
    Object.values(wanted.outputs),
  );
  await root(outputs);
  const valid = await store.queryValidPaths(outputs);
  const missing = outputs.filter((path) => !valid.has(path));
  if (missing.length === 0) return;
  const paths = missing.map((path) => ({
    path,
    holders: holders.of(path),
    upstream: planner.isOffered(path),
  }));
  const { sources } = await fetcher
    .fetchClosure(paths, {
      signal,
      onPlan: (count, bytes) => job.emit({ type: 'result-fetch', paths: count, bytes, done: false }),
      onProgress: (progress) => job.resultComing(progress),
    })
    .finally(() => {
      job.resultFetch = null;
    });
  job.resultFetched = [...job.resultFetched, ...sources];
  const bytes = sources.reduce((sum, source) => sum + source.bytes, 0);
  job.emit({ type: 'result-fetch', paths: missing.length, bytes, done: true });
}

/** Says how a job ended, with those of its wanted outputs that are here. */
export async function announceEnd(job: Job, store: PlannerComponents): Promise<void> {
  const failed = new Set(job.failures.map((failure) => failure.drvPath));
  const isNothingWanted = job.state === 'cancelled' || job.options.dryRun;
  const wanted = isNothingWanted ? [] : await wantedOutputs(job, new Planner(store), failed);
  const valid = await store.queryValidPaths(wanted.flatMap((entry) => Object.values(entry.outputs)));
  job.emit({
    type: 'job-finished',
    job: job.id,
    ok: job.state === 'built',
    cancelled: job.state === 'cancelled',
    outputs: wanted.filter((entry) => Object.values(entry.outputs).every((path) => valid.has(path))),
    failed: [...failed],
    noMachine: job.failures.length > 0 && job.failures.every(({ noMachine }) => noMachine),
    report: job.report(),
  });
}
