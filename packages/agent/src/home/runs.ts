import { allows, type HomeEffect, type JobOptions, type WorkerInfo } from '@mesh/schedule';
import type { Job } from '../job/job.ts';

type JobFinished = Extract<HomeEffect, { type: 'job-finished' }>;

/** How a run of a job through the scheduler ended. */
export interface RunEnd {
  ok: boolean;
  cancelled: boolean;
  failed: readonly string[];
  /** Why it was cut short: paths that members were said to hold and nobody could give, with who was said to. */
  lost: ReadonlyMap<string, readonly string[]>;
}

/** One pass of a job through the scheduler; a job whose result was lost makes another. */
export interface Run {
  readonly job: Job;
  readonly options: JobOptions;
  /** What is planned for it, by `.drv`. */
  readonly derivations: Set<string>;
  /** Paths left out of its plan, because members have them. */
  readonly held: Set<string>;
  readonly lost: Map<string, readonly string[]>;
  resolve(end: RunEnd): void;
}

/** The passes of jobs that are under way, by the id that the scheduler knows each by. */
export class Runs {
  readonly #runs = new Map<string, Run>();

  get size(): number {
    return this.#runs.size;
  }

  /** Jobs under way; a job is one, however many passes it makes. */
  get jobCount(): number {
    return new Set(this.jobs()).size;
  }

  /** Starts a pass; the promise is for its end. */
  begin(runId: string, job: Job, options: JobOptions): { run: Run; end: Promise<RunEnd> } {
    const { promise: end, resolve } = Promise.withResolvers<RunEnd>();
    const run: Run = { job, options, derivations: new Set(), held: new Set(), lost: new Map(), resolve };
    this.#runs.set(runId, run);
    return { run, end };
  }

  get(runId: string): Run | undefined {
    return this.#runs.get(runId);
  }

  /** Those of these ids that are under way. */
  of(runIds: readonly string[]): Run[] {
    return runIds.flatMap((runId) => this.#runs.get(runId) ?? []);
  }

  /** Those that want this derivation. */
  wanting(drvPath: string): Run[] {
    return [...this.#runs.values()].filter(({ derivations }) => derivations.has(drvPath));
  }

  entries(): [string, Run][] {
    return [...this.#runs];
  }

  jobs(): Job[] {
    return [...this.#runs.values()].map(({ job }) => job);
  }

  /** A machine is there, or has changed: reports of jobs count the machines that their choice leaves. */
  meet(worker: WorkerInfo): void {
    for (const run of this.#runs.values()) meet(run, worker);
  }

  /** The scheduler is done with a pass, which hears of it. Answers the run, unless it was not known. */
  end({ job: runId, ok, cancelled, failed, skipped }: JobFinished): Run | undefined {
    const run = this.#runs.get(runId);
    if (run === undefined) return undefined;
    this.#runs.delete(runId);
    // What was lost is planned again, with what was cut short.
    for (const drvPath of run.lost.size > 0 ? [] : skipped) {
      const outcome = cancelled ? 'cancelled' : 'skipped';
      run.job.finished(drvPath, { outcome, peerId: null, buildMs: 0, fetched: [] });
    }
    run.resolve({ ok, cancelled, failed, lost: run.lost });
    return run;
  }
}

export function meet({ job, options }: Run, worker: WorkerInfo): void {
  if (allows(options, worker)) job.meet(worker);
}
