import type { FetchProgress } from '@mesh/transfer';
import type { AttemptReport } from '@mesh/wire';
import { toldProgress } from '../fetch-progress.ts';
import type { JobNews } from './job.ts';
import type { JobLogs } from './job-logs.ts';
import { derivationName } from './planner.ts';
import { tenths } from './tenths.ts';
import { type Attempt, type GivenLease, liveAttempts, type Timeline } from './timeline.ts';

export interface JobLeasesInit {
  timelines: ReadonlyMap<string, Timeline>;
  logs: JobLogs;
  /** Every line of a log is an event too. */
  showsLogs: boolean;
  nameOf(peerId: string): string;
  /** Milliseconds since the job's start. */
  atMs(): number;
  emit(news: JobNews): void;
}

/**
 * What becomes of a job's leases: every one is kept as an attempt of its derivation, of which two may go on at a time where machines race.
 * What is said of a lease that is over, or of a derivation that the job does not have, is ignored.
 */
export class JobLeases {
  readonly #init: JobLeasesInit;

  constructor(init: JobLeasesInit) {
    this.#init = init;
  }

  leased(lease: GivenLease): void {
    const timeline = this.#init.timelines.get(lease.drvPath);
    if (timeline === undefined) return;
    const { drvPath, attempt, race, reason: why } = lease;
    const [first] = liveAttempts(timeline);
    if (!race) for (const stale of liveAttempts(timeline)) this.#end(timeline, stale, 'revoked', '');
    this.#begin(timeline, lease);
    const peer = this.#init.nameOf(lease.peerId);
    this.#init.emit({ type: 'leased', ...about(drvPath), peer, attempt, why, ...(race ? { race } : {}) });
    if (!race || first === undefined) return;
    const against = this.#init.nameOf(first.peerId);
    this.#init.emit({ type: 'race', ...about(drvPath), peer, against, expectedMs: lease.expectedMs });
  }

  fetching(lease: GivenLease, paths: number, bytes: number): void {
    if (this.#attempt(lease) === undefined) return;
    const peer = this.#init.nameOf(lease.peerId);
    this.#init.emit({ type: 'fetching', ...about(lease.drvPath), peer, paths, bytes });
  }

  fetchProgress(lease: GivenLease, progress: FetchProgress): void {
    const attempt = this.#attempt(lease);
    if (attempt === undefined || attempt.fetchedMs !== null) return;
    attempt.fetch = { ...progress, saidMs: this.#init.atMs() };
    attempt.fetchedBytes = progress.bytesDone;
    this.#init.emit({
      type: 'fetch-progress',
      ...about(lease.drvPath),
      peer: this.#init.nameOf(lease.peerId),
      ...toldProgress(progress, this.#init.nameOf),
    });
  }

  /** All inputs are there; `bytes` of them came for this lease. */
  fetched(lease: GivenLease, bytes: number): void {
    const attempt = this.#attempt(lease);
    if (attempt !== undefined)
      Object.assign(attempt, { fetchedMs: this.#init.atMs(), fetch: null, fetchedBytes: bytes });
  }

  /** `cores`: what its machine gave it, where it says so; that may be less than was granted. */
  started(lease: GivenLease, cores?: number): void {
    const attempt = this.#attempt(lease);
    if (attempt === undefined) return;
    attempt.startedMs = this.#init.atMs();
    attempt.fetchedMs ??= attempt.startedMs;
    attempt.cores = cores ?? attempt.cores;
    this.#init.emit({ type: 'started', ...about(lease.drvPath), peer: this.#init.nameOf(lease.peerId) });
  }

  log(lease: GivenLease, lines: string[], phase: string | undefined): void {
    if (this.#attempt(lease) === undefined) return;
    const { drvPath } = lease;
    const peer = this.#init.nameOf(lease.peerId);
    if (phase !== undefined) {
      this.#init.emit({ type: 'phase', ...about(drvPath), phase, peer });
      this.#init.logs.phase(drvPath, lease.lease, phase);
    }
    if (lines.length === 0) return;
    this.#init.logs.append(drvPath, lease.lease, lines);
    if (this.#init.logs.leads(drvPath, lease.lease)) this.#showLog(drvPath, lines);
  }

  /** A lease ended without a result. A failed machine's derivation goes elsewhere: `requeued` tells the user. */
  leaseEnded(lease: GivenLease, outcome: 'revoked' | 'cancelled', detail: string): void {
    const timeline = this.#init.timelines.get(lease.drvPath);
    const attempt = timeline?.attempts.find((each) => each.lease === lease.lease);
    if (timeline === undefined || attempt === undefined || attempt.endedMs !== null) return;
    this.#end(timeline, attempt, outcome, detail);
    const peer = this.#init.nameOf(lease.peerId);
    this.#init.emit({ type: 'returned', ...about(lease.drvPath), peer, reason: detail });
  }

  requeued(lease: GivenLease, reason: string): void {
    const timeline = this.#init.timelines.get(lease.drvPath);
    const attempt = this.#attempt(lease);
    if (timeline === undefined || attempt === undefined) return;
    this.#end(timeline, attempt, 'failed', reason);
    this.#init.emit({
      type: 'requeued',
      ...about(lease.drvPath),
      peer: this.#init.nameOf(lease.peerId),
      reason,
    });
  }

  raceFinished(
    drvPath: string,
    end: { winner: string; loser: string; raceWon: boolean; wastedMs: number },
  ): void {
    const timeline = this.#init.timelines.get(drvPath);
    if (timeline === undefined) return;
    const lost = timeline.attempts.findLast(
      ({ peerId, outcome }) => peerId === end.loser && (outcome === null || outcome === 'cancelled'),
    );
    const winner = this.#init.nameOf(end.winner);
    if (lost !== undefined) Object.assign(lost, { outcome: 'lost', detail: `${winner} was first` });
    if (lost !== undefined) lost.endedMs ??= this.#init.atMs();
    const wastedMs = tenths(end.wastedMs);
    timeline.race = { won: end.raceWon, wastedMs: (timeline.race?.wastedMs ?? 0) + wastedMs };
    const loser = this.#init.nameOf(end.loser);
    this.#init.emit({
      type: 'race-finished',
      ...about(drvPath),
      winner,
      loser,
      raceWon: end.raceWon,
      wastedMs,
    });
  }

  /** Its derivation has ended, by this attempt's result or without any: whoever else is at it is too late. */
  settle(timeline: Timeline, winner: Attempt | null): void {
    if (winner !== null) {
      // A racer's log is the derivation's from the moment it has won.
      this.#lead(timeline, winner);
      Object.assign(winner, { endedMs: this.#init.atMs(), outcome: 'won' });
    }
    for (const other of liveAttempts(timeline))
      this.#end(timeline, other, winner === null ? 'cancelled' : 'lost', '');
  }

  #begin(timeline: Timeline, lease: GivenLease): Attempt {
    const { attempt, drvPath, peerId, race, chained, cores, expectedMs, reason } = lease;
    const begun: Attempt = {
      ...{ lease: lease.lease, attempt, drvPath, peerId, race, chained, cores, expectedMs, reason },
      leasedMs: this.#init.atMs(),
      fetchedMs: null,
      startedMs: null,
      endedMs: null,
      fetch: null,
      fetchedBytes: 0,
      outcome: null,
      detail: '',
    };
    timeline.attempts.push(begun);
    if (liveAttempts(timeline)[0] === begun) this.#lead(timeline, begun);
    return begun;
  }

  /** The lease as this job knows it: one that was given before the job came begins for it now. */
  #attempt(lease: GivenLease): Attempt | undefined {
    const timeline = this.#init.timelines.get(lease.drvPath);
    if (timeline === undefined || timeline.finishedMs !== null) return undefined;
    const known = timeline.attempts.find((attempt) => attempt.lease === lease.lease);
    if (known !== undefined) return known.endedMs === null ? known : undefined;
    return this.#begin(timeline, lease);
  }

  #end(timeline: Timeline, attempt: Attempt, outcome: AttemptReport['outcome'], detail: string): void {
    Object.assign(attempt, { endedMs: this.#init.atMs(), fetch: null, outcome, detail });
    const [next] = liveAttempts(timeline);
    if (next !== undefined) this.#lead(timeline, next);
    this.#init.logs.forget(attempt.lease);
  }

  #lead(timeline: Timeline, attempt: Attempt): void {
    const said = this.#init.logs.lead(timeline.drvPath, attempt.lease);
    if (said.length > 0) this.#showLog(timeline.drvPath, said);
  }

  #showLog(drvPath: string, lines: readonly string[]): void {
    if (this.#init.showsLogs) this.#init.emit({ type: 'log', ...about(drvPath), lines: [...lines] });
  }
}

/** What every event about a derivation begins with. */
export function about(drvPath: string): { drvPath: string; name: string } {
  return { drvPath, name: derivationName(drvPath) };
}
