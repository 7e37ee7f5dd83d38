import type { DerivationNode, WorkerInfo } from '@mesh/schedule';
import type { FetchProgress } from '@mesh/transfer';
import type { BuildOptions, Differing, JobEvent, JobReport, JobView } from '@mesh/wire';
import { toldProgress } from '../fetch-progress.ts';
import { jobFetches } from './job-fetches.ts';
import { about, JobLeases } from './job-leases.ts';
import { JobLogs } from './job-logs.ts';
import { jobReport } from './job-report.ts';
import type { PlannedDerivation, Wanted } from './planner.ts';
import { tenths } from './tenths.ts';
import { type Fetching, liveAttempts, mainAttempt, newTimeline, type Timeline } from './timeline.ts';

type WithoutTime<T> = T extends unknown ? Omit<T, 'atMs'> : never;
/** A job event before it is stamped. */
export type JobNews = WithoutTime<JobEvent>;

export interface JobInit {
  id: string;
  options: BuildOptions;
  /** Who asked for it, where that is not this machine's own user. */
  submitter?: string;
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
  readonly logs = new JobLogs();
  /** Outputs of what was built, by derivation and output name: content-addressed ones are known only from here. */
  readonly builtOutputs = new Map<string, ReadonlyMap<string, string>>();
  readonly failures: { drvPath: string; message: string; noMachine: boolean }[] = [];
  /** What came home at the end, by peer. */
  resultFetched: { peer: string; bytes: number }[] = [];
  /** How far they are, while they come. */
  resultFetch: Fetching | null = null;
  /** Machines that could take part, by peer id, as each last introduced itself. */
  readonly machines = new Map<string, WorkerInfo>();
  /** Slots of the home that waited for work, over time. */
  readonly homeSlotsFree: { atMs: number; free: number }[] = [];
  readonly differing: Differing[] = [];
  readonly leases: JobLeases;
  state: JobView['state'] = 'running';
  readonly startedAtMs: number;
  readonly startedAtWallMs: number;
  #endedAtMs: number | undefined;
  #validCount = 0;
  #fetchCount = 0;
  #plannedMs = 0;
  #finalReport: JobReport | undefined;
  readonly #init: JobInit;
  readonly #listeners = new Set<(event: JobEvent) => void>();

  constructor(init: JobInit) {
    this.id = init.id;
    this.options = init.options;
    this.#init = init;
    this.startedAtMs = init.nowMs();
    this.leases = new JobLeases({
      timelines: this.timelines,
      logs: this.logs,
      showsLogs: init.options.logs,
      nameOf: init.nameOf,
      atMs: () => this.atMs(),
      emit: (news) => this.emit(news),
    });
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
      this.timelines.set(node.drvPath, newTimeline(node, now));
    }
    this.#plannedMs = now;
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

  /** A machine that may build for this job is there, or has changed. */
  meet(machine: WorkerInfo): void {
    this.machines.set(machine.peerId, machine);
  }

  /** So many slots of the home wait for work from now on. */
  homeSlots(free: number): void {
    this.homeSlotsFree.push({ atMs: this.atMs(), free });
  }

  outputsDiffer(
    drvPath: string,
    found: {
      output: string;
      first: { peerId: string; narHash: string };
      second: { peerId: string; narHash: string };
    },
  ): void {
    if (!this.timelines.has(drvPath)) return;
    const at = ({ peerId, narHash }: { peerId: string; narHash: string }) => ({
      peer: this.#init.nameOf(peerId),
      narHash,
    });
    const { output } = found;
    const differing = { ...about(drvPath), output, first: at(found.first), second: at(found.second) };
    this.differing.push(differing);
    this.#finalReport = undefined;
    this.emit({ type: 'outputs-differ', ...differing });
  }

  finished(
    drvPath: string,
    end: {
      outcome: NonNullable<Timeline['outcome']>;
      peerId: string | null;
      /** The lease that brought it, where one did. */
      lease?: string;
      buildMs: number;
      fetched: readonly { peer: string; bytes: number }[];
      message?: string;
      /** It failed, but no build of it did: no machine could build it, or all failed at it. */
      noMachine?: boolean;
      outputs?: ReadonlyMap<string, string>;
      outputBytes?: number;
    },
  ): void {
    const timeline = this.timelines.get(drvPath);
    if (timeline === undefined || timeline.finishedMs !== null) return;
    const now = this.atMs();
    const winner = timeline.attempts.find(({ lease }) => lease === end.lease) ?? null;
    timeline.winner = winner;
    timeline.finishedMs = now;
    timeline.outcome = end.outcome;
    const ran = end.outcome === 'built' || end.outcome === 'failed';
    timeline.peerId = end.peerId ?? (ran ? (mainAttempt(timeline)?.peerId ?? null) : null);
    timeline.buildMs = tenths(end.buildMs);
    timeline.outputBytes = end.outputBytes ?? 0;
    timeline.fetched = end.fetched;
    this.leases.settle(timeline, winner);
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

  /** More is known of a derivation that no machine has yet. */
  predicted(drvPath: string, prediction: Pick<DerivationNode, 'predictedMs' | 'history'>): void {
    const timeline = this.timelines.get(drvPath);
    if (timeline !== undefined) timeline.node = { ...timeline.node, ...prediction };
  }

  /** A finished derivation whose outputs were lost with their machine is to be built again. */
  reopened(drvPath: string): void {
    const timeline = this.timelines.get(drvPath);
    if (timeline !== undefined)
      Object.assign(timeline, { finishedMs: null, outcome: null, winner: null, peerId: null });
  }

  /** What was wanted comes home. */
  resultComing(progress: FetchProgress): void {
    this.resultFetch = { ...progress, saidMs: this.atMs() };
    const told = toldProgress(progress, this.#init.nameOf);
    const { pathsTotal: paths, bytesTotal: bytes } = told;
    this.emit({ type: 'result-fetch', paths, bytes, done: false, progress: told });
  }

  end(state: 'built' | 'failed' | 'cancelled'): void {
    this.state = state;
    this.resultFetch = null;
    this.#endedAtMs = this.#init.nowMs();
    this.logs.endAll();
  }

  wallMs(): number {
    return tenths((this.#endedAtMs ?? this.#init.nowMs()) - this.startedAtMs);
  }

  /** The sum of what happened; of a job that is over it is made once. */
  report(): JobReport {
    if (this.#finalReport !== undefined) return this.#finalReport;
    const report = jobReport({
      job: this.id,
      ok: this.state === 'built',
      ended: this.#endedAtMs !== undefined,
      startedAtWallMs: this.startedAtWallMs,
      wallMs: this.wallMs(),
      plannedMs: this.#plannedMs,
      machines: this.machines,
      homeSlotsFree: this.homeSlotsFree,
      timelines: this.timelines,
      differing: this.differing,
      resultFetched: this.resultFetched,
      home: this.#init.home,
      nameOf: this.#init.nameOf,
    });
    if (this.#endedAtMs !== undefined) this.#finalReport = report;
    return report;
  }

  view(): JobView {
    const all = [...this.timelines.values()];
    const { nameOf } = this.#init;
    return {
      ...jobFetches(this, nameOf),
      job: this.id,
      state: this.state,
      ...(this.#init.submitter === undefined ? {} : { submitter: this.#init.submitter }),
      startedAt: new Date(this.startedAtWallMs).toISOString(),
      wallMs: this.wallMs(),
      wanted: this.wanted.map((wanted) => wanted.drvPath),
      total: all.length,
      built: all.filter((timeline) => timeline.outcome === 'built').length,
      failed: all.filter((timeline) => timeline.outcome === 'failed').length,
      running: all
        .filter(({ finishedMs }) => finishedMs === null)
        .flatMap((timeline) => liveAttempts(timeline))
        .filter(({ startedMs }) => startedMs !== null)
        .map(({ drvPath, peerId }) => ({ ...about(drvPath), peer: nameOf(peerId) })),
    };
  }

  nameOf(peerId: string): string {
    return this.#init.nameOf(peerId);
  }
}
