import type { WorkerInfo } from '@mesh/schedule';
import type { AttemptReport, BuildOptions, Differing, JobEvent, JobReport, JobView } from '@mesh/wire';
import { JobLogs } from './job-logs.ts';
import { jobReport } from './job-report.ts';
import { derivationName, type PlannedDerivation, type Wanted } from './planner.ts';
import {
  type Attempt,
  type GivenLease,
  liveAttempts,
  mainAttempt,
  newTimeline,
  type Timeline,
} from './timeline.ts';

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
  readonly logs = new JobLogs();
  /** Outputs of what was built, by derivation and output name: content-addressed ones are known only from here. */
  readonly builtOutputs = new Map<string, ReadonlyMap<string, string>>();
  readonly failures: { drvPath: string; message: string; noMachine: boolean }[] = [];
  /** What came home at the end, by peer. */
  resultFetched: { peer: string; bytes: number }[] = [];
  /** Machines that could take part, by peer id, as each last introduced itself. */
  readonly machines = new Map<string, WorkerInfo>();
  /** Slots of the home that waited for work, over time. */
  readonly homeSlotsFree: { atMs: number; free: number }[] = [];
  readonly differing: Differing[] = [];
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

  leased(lease: GivenLease): void {
    const timeline = this.timelines.get(lease.drvPath);
    if (timeline === undefined) return;
    const { drvPath, attempt, race, reason: why } = lease;
    const [first] = liveAttempts(timeline);
    if (!race) for (const stale of liveAttempts(timeline)) this.#end(timeline, stale, 'revoked', '');
    this.#begin(timeline, lease);
    const peer = this.#init.nameOf(lease.peerId);
    this.emit({ type: 'leased', ...about(drvPath), peer, attempt, why, ...(race ? { race } : {}) });
    if (!race || first === undefined) return;
    const against = this.#init.nameOf(first.peerId);
    this.emit({ type: 'race', ...about(drvPath), peer, against, expectedMs: lease.expectedMs });
  }

  fetching(lease: GivenLease, paths: number, bytes: number): void {
    if (this.#attempt(lease) === undefined) return;
    const peer = this.#init.nameOf(lease.peerId);
    this.emit({ type: 'fetching', ...about(lease.drvPath), peer, paths, bytes });
  }

  fetched(lease: GivenLease): void {
    const attempt = this.#attempt(lease);
    if (attempt !== undefined) attempt.fetchedMs = this.atMs();
  }

  started(lease: GivenLease): void {
    const attempt = this.#attempt(lease);
    if (attempt === undefined) return;
    attempt.startedMs = this.atMs();
    attempt.fetchedMs ??= attempt.startedMs;
    this.emit({ type: 'started', ...about(lease.drvPath), peer: this.#init.nameOf(lease.peerId) });
  }

  log(lease: GivenLease, lines: string[], phase: string | undefined): void {
    if (this.#attempt(lease) === undefined) return;
    const { drvPath } = lease;
    const peer = this.#init.nameOf(lease.peerId);
    if (phase !== undefined) this.emit({ type: 'phase', ...about(drvPath), phase, peer });
    if (lines.length === 0) return;
    this.logs.append(drvPath, lease.lease, lines);
    if (this.logs.leads(drvPath, lease.lease)) this.#showLog(drvPath, lines);
  }

  /** A lease ended without a result. A failed machine's derivation goes elsewhere: `requeued` tells the user. */
  leaseEnded(lease: GivenLease, outcome: 'revoked' | 'cancelled', detail: string): void {
    const timeline = this.timelines.get(lease.drvPath);
    const attempt = timeline?.attempts.find((each) => each.lease === lease.lease);
    if (timeline === undefined || attempt === undefined || attempt.endedMs !== null) return;
    this.#end(timeline, attempt, outcome, detail);
    const peer = this.#init.nameOf(lease.peerId);
    this.emit({ type: 'returned', ...about(lease.drvPath), peer, reason: detail });
  }

  requeued(lease: GivenLease, reason: string): void {
    const timeline = this.timelines.get(lease.drvPath);
    const attempt = this.#attempt(lease);
    if (timeline === undefined || attempt === undefined) return;
    this.#end(timeline, attempt, 'failed', reason);
    this.emit({ type: 'requeued', ...about(lease.drvPath), peer: this.#init.nameOf(lease.peerId), reason });
  }

  raceFinished(
    drvPath: string,
    end: { winner: string; loser: string; raceWon: boolean; wastedMs: number },
  ): void {
    const timeline = this.timelines.get(drvPath);
    if (timeline === undefined) return;
    const lost = timeline.attempts.findLast(
      ({ peerId, outcome }) => peerId === end.loser && (outcome === null || outcome === 'cancelled'),
    );
    const winner = this.#init.nameOf(end.winner);
    if (lost !== undefined) Object.assign(lost, { outcome: 'lost', detail: `${winner} was first` });
    if (lost !== undefined) lost.endedMs ??= this.atMs();
    const wastedMs = tenths(end.wastedMs);
    timeline.race = { won: end.raceWon, wastedMs: (timeline.race?.wastedMs ?? 0) + wastedMs };
    const loser = this.#init.nameOf(end.loser);
    this.emit({ type: 'race-finished', ...about(drvPath), winner, loser, raceWon: end.raceWon, wastedMs });
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
      /** It failed because no machine could build it. */
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
    if (winner !== null) {
      // A racer's log is the derivation's from the moment it has won.
      this.#lead(timeline, winner);
      Object.assign(winner, { endedMs: now, outcome: 'won' });
    }
    for (const other of liveAttempts(timeline))
      this.#end(timeline, other, winner === null ? 'cancelled' : 'lost', '');
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
    const timeline = this.timelines.get(drvPath);
    if (timeline !== undefined)
      Object.assign(timeline, { finishedMs: null, outcome: null, winner: null, peerId: null });
  }

  end(state: 'built' | 'failed' | 'cancelled'): void {
    this.state = state;
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
        .filter(({ finishedMs }) => finishedMs === null)
        .flatMap((timeline) => liveAttempts(timeline))
        .filter(({ startedMs }) => startedMs !== null)
        .map(({ drvPath, peerId }) => ({ ...about(drvPath), peer: this.#init.nameOf(peerId) })),
    };
  }

  nameOf(peerId: string): string {
    return this.#init.nameOf(peerId);
  }

  #begin(timeline: Timeline, lease: GivenLease): Attempt {
    const { attempt, drvPath, peerId, race, chained, cores, expectedMs, reason } = lease;
    const begun: Attempt = {
      ...{ lease: lease.lease, attempt, drvPath, peerId, race, chained, cores, expectedMs, reason },
      leasedMs: this.atMs(),
      fetchedMs: null,
      startedMs: null,
      endedMs: null,
      outcome: null,
      detail: '',
    };
    timeline.attempts.push(begun);
    if (liveAttempts(timeline)[0] === begun) this.#lead(timeline, begun);
    return begun;
  }

  /** The lease as this job knows it: one that was given before the job came begins for it now. */
  #attempt(lease: GivenLease): Attempt | undefined {
    const timeline = this.timelines.get(lease.drvPath);
    if (timeline === undefined || timeline.finishedMs !== null) return undefined;
    const known = timeline.attempts.find((attempt) => attempt.lease === lease.lease);
    if (known !== undefined) return known.endedMs === null ? known : undefined;
    return this.#begin(timeline, lease);
  }

  #end(timeline: Timeline, attempt: Attempt, outcome: AttemptReport['outcome'], detail: string): void {
    Object.assign(attempt, { endedMs: this.atMs(), outcome, detail });
    const [next] = liveAttempts(timeline);
    if (next !== undefined) this.#lead(timeline, next);
    this.logs.forget(attempt.lease);
  }

  #lead(timeline: Timeline, attempt: Attempt): void {
    const said = this.logs.lead(timeline.drvPath, attempt.lease);
    if (said.length > 0) this.#showLog(timeline.drvPath, said);
  }

  #showLog(drvPath: string, lines: readonly string[]): void {
    if (this.options.logs) this.emit({ type: 'log', ...about(drvPath), lines: [...lines] });
  }
}

function about(drvPath: string): { drvPath: string; name: string } {
  return { drvPath, name: derivationName(drvPath) };
}

/** Finer is noise, and hard to read in a report. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
