import type { BuildOptions, JobEvent, JobReport, JobView } from '@mesh/wire';
import { BuildLog } from './build-log.ts';
import { jobReport } from './job-report.ts';
import { derivationName, type PlannedDerivation, type Wanted } from './planner.ts';
import { newTimeline, type Timeline } from './timeline.ts';

type WithoutTime<T> = T extends unknown ? Omit<T, 'atMs'> : never;
/** A job event before it is stamped. */
export type JobNews = WithoutTime<JobEvent>;

export interface JobInit {
  id: string;
  options: BuildOptions;
  home: string;
  nameOf(peerId: string): string;
  /** Monotonic, milliseconds. */
  nowMs(): number;
  wallMs(): number;
}

/**
 * One `mesh build`, as its home remembers it: what was wanted, what happened when, the logs, the events. Decides nothing; the
 * scheduler does, and the home tells the job.
 */
export class Job {
  readonly id: string;
  readonly options: BuildOptions;
  readonly wanted: Wanted[] = [];
  readonly timelines = new Map<string, Timeline>();
  readonly logs = new Map<string, BuildLog>();
  /** Outputs of what was built, by derivation and output name: content-addressed ones are known only from here. */
  readonly builtOutputs = new Map<string, ReadonlyMap<string, string>>();
  readonly failures: { drvPath: string; message: string; noMachine: boolean }[] = [];
  /** What came home at the end, by peer. */
  resultFetched: { peer: string; bytes: number }[] = [];
  /** Slots of the machines that could take part, for the lower bound. */
  slots = 0;
  state: JobView['state'] = 'running';
  readonly startedAtMs: number;
  readonly startedAtWallMs: number;
  #endedAtMs: number | undefined;
  #validCount = 0;
  #fetchCount = 0;
  readonly #init: JobInit;
  readonly #listeners = new Set<(event: JobEvent) => void>();

  constructor(init: JobInit) {
    this.id = init.id;
    this.options = init.options;
    this.#init = init;
    this.startedAtMs = init.nowMs();
    this.startedAtWallMs = init.wallMs();
  }

  /** Milliseconds since the job's start. */
  atMs(): number {
    return tenths(Math.max(0, this.#init.nowMs() - this.startedAtMs));
  }

  onEvent(listener: (event: JobEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(news: JobNews): void {
    const event = { ...news, atMs: this.atMs() } as JobEvent;
    for (const listener of this.#listeners) listener(event);
  }

  planned(derivations: readonly PlannedDerivation[], toFetch: number, valid: number): void {
    const now = this.atMs();
    for (const { node } of derivations) {
      if (this.timelines.has(node.drvPath)) continue;
      this.timelines.set(node.drvPath, newTimeline(node.drvPath, node.name, node.dependencies, now));
    }
    this.#fetchCount += toFetch;
    this.#validCount += valid;
    this.emit({
      type: 'planned',
      toBuild: this.timelines.size,
      toFetch: this.#fetchCount,
      valid: this.#validCount,
      ...(this.options.dryRun
        ? { derivations: [...this.timelines.values()].map(({ drvPath, name }) => ({ drvPath, name })) }
        : {}),
    });
  }

  leased(drvPath: string, peerId: string, attempt: number, why: string): void {
    const timeline = this.#timeline(drvPath);
    if (timeline === undefined) return;
    Object.assign(timeline, {
      peerId,
      attempt,
      why,
      leasedMs: this.atMs(),
      fetchedMs: null,
      startedMs: null,
    });
    this.logs.get(drvPath)?.restart();
    this.emit({ type: 'leased', ...about(drvPath), peer: this.#init.nameOf(peerId), attempt, why });
  }

  fetching(drvPath: string, peerId: string, paths: number, bytes: number): void {
    if (!this.timelines.has(drvPath)) return;
    this.emit({ type: 'fetching', ...about(drvPath), peer: this.#init.nameOf(peerId), paths, bytes });
  }

  fetched(drvPath: string): void {
    const timeline = this.#timeline(drvPath);
    if (timeline !== undefined) timeline.fetchedMs = this.atMs();
  }

  started(drvPath: string, peerId: string): void {
    const timeline = this.#timeline(drvPath);
    if (timeline === undefined) return;
    timeline.startedMs = this.atMs();
    timeline.fetchedMs ??= timeline.startedMs;
    this.emit({ type: 'started', ...about(drvPath), peer: this.#init.nameOf(peerId) });
  }

  log(drvPath: string, lines: string[], phase: string | undefined): void {
    if (!this.timelines.has(drvPath)) return;
    if (phase !== undefined) this.emit({ type: 'phase', ...about(drvPath), phase });
    if (lines.length === 0) return;
    this.logOf(drvPath).append(lines);
    if (this.options.logs) this.emit({ type: 'log', ...about(drvPath), lines });
  }

  logOf(drvPath: string): BuildLog {
    const log = this.logs.get(drvPath) ?? new BuildLog();
    this.logs.set(drvPath, log);
    return log;
  }

  requeued(drvPath: string, peerId: string, reason: string): void {
    if (!this.timelines.has(drvPath)) return;
    this.emit({ type: 'requeued', ...about(drvPath), peer: this.#init.nameOf(peerId), reason });
  }

  finished(
    drvPath: string,
    end: {
      outcome: NonNullable<Timeline['outcome']>;
      peerId: string | null;
      buildMs: number;
      fetched: readonly { peer: string; bytes: number }[];
      message?: string;
      /** It failed because no machine could build it. */
      noMachine?: boolean;
      outputs?: ReadonlyMap<string, string>;
    },
  ): void {
    const timeline = this.#timeline(drvPath);
    if (timeline === undefined || timeline.finishedMs !== null) return;
    timeline.finishedMs = this.atMs();
    timeline.outcome = end.outcome;
    timeline.peerId =
      end.peerId ?? (end.outcome === 'built' || end.outcome === 'failed' ? timeline.peerId : null);
    timeline.buildMs = tenths(end.buildMs);
    timeline.fetched = end.fetched;
    this.logs.get(drvPath)?.end();
    if (end.outputs !== undefined) this.builtOutputs.set(drvPath, end.outputs);
    if (end.outcome === 'failed')
      this.failures.push({
        drvPath,
        message: end.message ?? 'build failed',
        noMachine: end.noMachine ?? false,
      });
    const tail = end.outcome === 'failed' ? (this.logs.get(drvPath)?.tail() ?? []) : undefined;
    this.emit({
      type: 'finished',
      ...about(drvPath),
      peer: timeline.peerId === null ? null : this.#init.nameOf(timeline.peerId),
      outcome: end.outcome,
      durationMs: end.buildMs,
      ...(end.message === undefined ? {} : { message: end.message }),
      ...(tail === undefined ? {} : { logTail: tail }),
    });
  }

  /** A finished derivation whose outputs were lost with their machine is to be built again. */
  reopened(drvPath: string): void {
    const timeline = this.#timeline(drvPath);
    if (timeline !== undefined) Object.assign(timeline, { finishedMs: null, outcome: null, startedMs: null });
  }

  end(state: 'built' | 'failed' | 'cancelled'): void {
    this.state = state;
    this.#endedAtMs = this.#init.nowMs();
    for (const log of this.logs.values()) if (!log.ended) log.end();
  }

  wallMs(): number {
    return tenths((this.#endedAtMs ?? this.#init.nowMs()) - this.startedAtMs);
  }

  report(): JobReport {
    return jobReport({
      job: this.id,
      ok: this.state === 'built',
      startedAtWallMs: this.startedAtWallMs,
      wallMs: this.wallMs(),
      slots: this.slots,
      timelines: this.timelines,
      resultFetched: this.resultFetched,
      home: this.#init.home,
      nameOf: this.#init.nameOf,
    });
  }

  view(): JobView {
    const all = [...this.timelines.values()];
    return {
      job: this.id,
      state: this.state,
      startedAt: new Date(this.startedAtWallMs).toISOString(),
      wallMs: this.wallMs(),
      wanted: this.wanted.map((wanted) => wanted.drvPath),
      total: all.length,
      built: all.filter((timeline) => timeline.outcome === 'built').length,
      failed: all.filter((timeline) => timeline.outcome === 'failed').length,
      running: all
        .filter((timeline) => timeline.startedMs !== null && timeline.finishedMs === null)
        .map(({ drvPath, name, peerId }) => ({
          drvPath,
          name,
          peer: this.#init.nameOf(peerId ?? this.#init.home),
        })),
    };
  }

  #timeline(drvPath: string): Timeline | undefined {
    return this.timelines.get(drvPath);
  }
}

function about(drvPath: string): { drvPath: string; name: string } {
  return { drvPath, name: derivationName(drvPath) };
}

/** Finer is noise, and hard to read in a report. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
