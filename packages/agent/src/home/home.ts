import type { Clock, Logger, MeshNet } from '@mesh/net';
import {
  allows,
  type HomeEffect,
  type HomeEvent,
  type HomeState,
  initialHome,
  type JobOptions,
  stepHome,
  type WorkerInfo,
} from '@mesh/schedule';
import type { HomeMessage, WorkerMessage } from '@mesh/wire';
import type { Job } from '../job/job.ts';
import { derivationName, type PlannedDerivation } from '../job/planner.ts';
import type { GivenLease } from '../job/timeline.ts';
import type { WorkChannel } from '../memory-channel.ts';
import { StepLoop, type WithoutNow } from '../step-loop.ts';
import { BuildNotes, type HomeHistory } from './build-notes.ts';
import { Claims } from './claims.ts';
import { type Granted, Grants, givenLease } from './grants.ts';
import { Holders } from './holders.ts';
import { OwnSlots } from './own-slots.ts';
import { Plans } from './plans.ts';
import { workerInfoOf } from './worker-info.ts';
import { WorkerLinks } from './worker-links.ts';

type Effect<T extends HomeEffect['type']> = Extract<HomeEffect, { type: T }>;

export interface HomeInit {
  self: string;
  /** Tells this run's leases from those of an earlier one. */
  incarnation: string;
}

export interface HomeComponents {
  net: MeshNet;
  clock: Clock;
  logger: Logger;
  history: HomeHistory;
  /** Stores the log of a build that ran elsewhere, so that `nix log` works here. */
  storeLog(drvPath: string, lines: string[]): Promise<void>;
}

/** How a run of a job through the scheduler ended. */
export interface RunEnd {
  ok: boolean;
  cancelled: boolean;
  failed: readonly string[];
  /** Why it was cut short: paths that members were said to hold and nobody could give, with who was said to. */
  lost: ReadonlyMap<string, readonly string[]>;
}

/** One pass of a job through the scheduler; a job whose result was lost makes another. */
interface Run {
  job: Job;
  options: JobOptions;
  /** Paths left out of its plan, because members have them. */
  held: Set<string>;
  lost: Map<string, readonly string[]>;
  resolve(end: RunEnd): void;
}

/**
 * The agent where jobs were submitted: owns their graphs, ready queue and leases. Carries out what the home state machine decides:
 * leases go to workers over the work protocol, this machine's own worker included.
 */
export class Home {
  readonly holders = new Holders();
  readonly #init: HomeInit;
  readonly #components: HomeComponents;
  readonly #state: HomeState;
  readonly #loop: StepLoop<HomeEvent, HomeEffect>;
  readonly #claims: Claims;
  readonly #workers: WorkerLinks;
  readonly #known = new Map<string, WorkerInfo>();
  readonly #onWorkersChanged = new Set<() => void>();
  readonly #runs = new Map<string, Run>();
  readonly #plans = new Plans();
  readonly #grants = new Grants();
  readonly #notes: BuildNotes;
  readonly #ownSlots: OwnSlots;

  constructor(init: HomeInit, components: HomeComponents) {
    this.#init = init;
    this.#components = components;
    this.#notes = new BuildNotes(components.history, components.clock);
    this.#state = initialHome({ self: init.self, incarnation: init.incarnation });
    this.#loop = new StepLoop({
      clock: components.clock,
      step: (event) => stepHome(this.#state, event).effects,
      perform: (effect) => this.#perform(effect),
      tick: { type: 'tick' },
    });
    this.#ownSlots = new OwnSlots(init.self, (free) => {
      for (const { job } of this.#runs.values()) job.homeSlots(free);
    });
    this.#workers = new WorkerLinks({
      net: components.net,
      clock: components.clock,
      logger: components.logger,
      onMessage: (peerId, message) => this.#receive(peerId, message),
      onGone: (peerId) => this.#workerGone(peerId),
    });
    this.#claims = new Claims({
      net: components.net,
      clock: components.clock,
      logger: components.logger,
      dispatch: (event) => this.#dispatch(event),
    });
  }

  start(): void {
    const { events } = this.#components.net;
    this.#claims.start();
    events.on('member-up', (peerId) => {
      this.#claims.memberUp(peerId);
      if (this.#runs.size > 0) void this.#workers.call(peerId);
      for (const { job } of this.#runs.values())
        job.emit({ type: 'peer', peer: this.#nameOf(peerId), state: 'up' });
    });
    events.on('member-down', (peerId) => {
      this.#claims.memberDown(peerId);
      this.#workers.drop(peerId);
      for (const { job } of this.#runs.values())
        job.emit({ type: 'peer', peer: this.#nameOf(peerId), state: 'down' });
    });
  }

  /** Takes leave of the workers. What they were told before, that leases are cancelled above all, has arrived when this resolves. */
  async stop(): Promise<void> {
    this.#loop.stop();
    await this.#workers.leave();
  }

  /** Jobs under way. */
  get running(): number {
    return new Set([...this.#runs.values()].map((run) => run.job)).size;
  }

  /** The workers that have introduced themselves, by peer id; this machine's own among them. */
  workers(): ReadonlyMap<string, WorkerInfo> {
    return this.#known;
  }

  /** Members whose worker was called and has not introduced itself yet. */
  called(): ReadonlySet<string> {
    return this.#workers.pending();
  }

  /** Calls `listener` whenever a worker comes, changes or goes; returns the way to stop that. */
  onWorkersChanged(listener: () => void): () => void {
    this.#onWorkersChanged.add(listener);
    return () => this.#onWorkersChanged.delete(listener);
  }

  /** This machine's own worker: a worker like any other, at distance zero. */
  attachOwnWorker(channel: WorkChannel<HomeMessage, WorkerMessage>): void {
    this.#workers.attach(this.#init.self, channel);
  }

  /** Starts a pass; the promise is for its end. */
  begin(runId: string, job: Job, options: JobOptions): Promise<RunEnd> {
    // What earlier jobs heard may be forgotten: a job that still fetches its result asks the members themselves.
    if (this.#runs.size === 0) this.holders.clear();
    // Ahead of need: evaluation takes longer than opening streams.
    this.#workers.callAll();
    return new Promise((resolve) => {
      const run: Run = { job, options, held: new Set(), lost: new Map(), resolve };
      this.#runs.set(runId, run);
      for (const worker of this.#known.values()) meet(run, worker);
      job.homeSlots(this.#ownSlots.free);
      this.#dispatch({ type: 'job-added', job: runId, options });
    });
  }

  /** These paths need no build, because members have them. */
  hold(runId: string, held: ReadonlyMap<string, readonly string[]>): void {
    for (const [path, peers] of held) {
      this.#runs.get(runId)?.held.add(path);
      for (const peer of peers) this.holders.add(path, peer);
    }
  }

  add(runId: string, derivations: readonly PlannedDerivation[]): void {
    this.#plans.add(derivations);
    const nodes = derivations.map((planned) => planned.node);
    if (nodes.length > 0) this.#dispatch({ type: 'derivations-added', job: runId, derivations: nodes });
  }

  seal(runId: string): void {
    this.#dispatch({ type: 'job-sealed', job: runId });
  }

  /** What a derivation that no machine has yet waits for: a sentence, where there is more to say than what it needs. */
  explain(drvPath: string): string | undefined {
    const derivation = this.#state.graph.get(drvPath);
    const other = derivation?.claim.deferredTo;
    if (derivation === undefined || other === undefined || derivation.status !== 'waiting') return undefined;
    return `${this.#nameOf(other)} builds it for a job of its own; this job takes what comes of that.`;
  }

  cancel(runId: string): void {
    this.#dispatch({ type: 'job-cancelled', job: runId });
  }

  #perform(effect: Exclude<HomeEffect, { type: 'wake-at' }>): void {
    switch (effect.type) {
      case 'grant':
        this.#grant(effect);
        break;
      case 'revoke':
        this.#workers.send(effect.peerId, { type: 'revoke', lease: effect.lease, attempt: effect.attempt });
        break;
      case 'cancel':
        this.#workers.send(effect.peerId, {
          type: 'cancel',
          lease: effect.lease,
          attempt: effect.attempt,
          reason: effect.reason.slice(0, 500),
        });
        this.#endLease(effect.lease, 'cancelled', effect.reason);
        break;
      case 'advertise':
        this.#workers.send(effect.peerId, {
          type: 'advertise',
          work: effect.work,
          hungry: effect.hungry,
          weight: effect.weight,
          sequence: effect.sequence,
        });
        break;
      case 'derivation-finished':
        this.#derivationFinished(effect);
        break;
      case 'derivation-lost':
        for (const { job } of this.#runsOf(effect.jobs)) {
          job.reopened(effect.drvPath);
          job.emit({
            type: 'note',
            level: 'warn',
            message: `The machine that had built ${effect.drvPath} is gone; building it again.`,
          });
        }
        break;
      case 'attempt-failed':
        this.#requeue(effect);
        break;
      case 'impossible':
        // The `derivation-finished` that follows tells the job.
        break;
      case 'job-finished':
        this.#jobFinished(effect);
        break;
      case 'race-finished':
        for (const { job } of this.#runs.values()) job.leases.raceFinished(effect.drvPath, effect);
        this.#notes.raceFinished(derivationName(effect.drvPath), effect.raceWon);
        break;
      case 'outputs-differ':
        for (const { job } of this.#runs.values()) job.outputsDiffer(effect.drvPath, effect);
        this.#notes.outputsDiffer(derivationName(effect.drvPath));
        break;
      case 'claim':
      case 'release':
        this.#claims.perform(effect);
        break;
    }
  }

  #grant(effect: Effect<'grant'>): void {
    const { peerId, drvPath } = effect;
    const planned = this.#plans.of(drvPath);
    if (planned === undefined) throw new Error(`a lease was granted for ${drvPath}, which no job planned`);
    this.#ownSlots.answered(peerId, effect.request);
    for (const { job } of this.#runs.values()) job.leases.leased(givenLease(effect));
    const inputs = planned.inputs.map((path) => ({ path, holders: this.#holdersOf(path) }));
    const nowMs = this.#components.clock.monotonic();
    this.#workers.send(peerId, this.#grants.give(effect, planned, inputs, nowMs));
  }

  /** What nobody has built for this home it has itself: sources, and what was valid here at the start. */
  #holdersOf(path: string): string[] {
    const known = this.holders.of(path);
    return known.length > 0 ? known : [this.#init.self];
  }

  #derivationFinished(effect: Effect<'derivation-finished'>): void {
    const { drvPath, outcome } = effect;
    const planned = this.#plans.of(drvPath);
    const granted =
      'lease' in outcome && outcome.lease !== undefined ? this.#grants.of(outcome.lease) : undefined;
    if (outcome.type === 'built') {
      for (const output of outcome.outputs) this.holders.add(output.path, outcome.peerId);
      // To build it, that machine had to have the inputs.
      for (const input of planned?.inputs ?? []) {
        if (this.holders.of(input).length > 0) this.holders.add(input, outcome.peerId);
      }
    } else if (outcome.type === 'valid') {
      for (const path of planned?.node.outputs ?? []) {
        for (const peer of outcome.holders) this.holders.add(path, peer);
      }
    }
    const peerId = outcome.type === 'valid' ? null : (outcome.peerId ?? null);
    const runs = this.#runsOf(effect.jobs);
    for (const { job } of runs) {
      job.finished(drvPath, {
        outcome: outcome.type,
        peerId,
        ...('lease' in outcome && outcome.lease !== undefined ? { lease: outcome.lease } : {}),
        buildMs: granted?.buildMs ?? 0,
        fetched: granted?.fetched ?? [],
        ...(outcome.type === 'failed'
          ? { message: outcome.message, noMachine: outcome.kind === 'impossible' }
          : {}),
        ...(outcome.type === 'built'
          ? {
              outputs: new Map(outcome.outputs.map(({ name, path }) => [name, path])),
              outputBytes: outcome.outputs.reduce((sum, { narBytes }) => sum + narBytes, 0),
            }
          : {}),
      });
    }
    const log = runs[0]?.job.logs.get(drvPath)?.lines() ?? [];
    if (peerId !== null && peerId !== this.#init.self && log.length > 0) this.#storeLog(drvPath, log);
    if ('lease' in outcome && outcome.lease !== undefined) this.#grants.end(outcome.lease);
  }

  #storeLog(drvPath: string, lines: string[]): void {
    this.#components.storeLog(drvPath, lines).catch((error: unknown) => {
      this.#components.logger.warn({ err: error, drvPath }, 'a build log could not be stored');
    });
  }

  #jobFinished(effect: Effect<'job-finished'>): void {
    const run = this.#runs.get(effect.job);
    if (run === undefined) return;
    this.#runs.delete(effect.job);
    // What was lost is planned again, with what was cut short.
    for (const drvPath of run.lost.size > 0 ? [] : effect.skipped) {
      run.job.finished(drvPath, {
        outcome: effect.cancelled ? 'cancelled' : 'skipped',
        peerId: null,
        buildMs: 0,
        fetched: [],
      });
    }
    const others = [...this.#runs.values()].map((other) => other.job.timelines);
    this.#plans.forget(run.job.timelines.keys(), (drvPath) => others.some((other) => other.has(drvPath)));
    if (others.length === 0) this.#grants.clear();
    run.resolve({ ok: effect.ok, cancelled: effect.cancelled, failed: effect.failed, lost: run.lost });
  }

  #runsOf(jobs: readonly string[]): Run[] {
    return jobs.flatMap((job) => this.#runs.get(job) ?? []);
  }

  #workerGone(peerId: string): void {
    this.#known.delete(peerId);
    this.#notes.forget(peerId);
    this.holders.dropPeer(peerId);
    this.#dispatch({ type: 'worker-down', peerId });
    // What it had not started counts as no failure: the home state machine says nothing about it.
    for (const { lease } of this.#grants.allOf(peerId)) this.#endLease(lease, 'revoked', 'the machine left');
    this.#workersChanged();
  }

  #workerUp(worker: WorkerInfo): void {
    this.#known.set(worker.peerId, worker);
    for (const run of this.#runs.values()) meet(run, worker);
    this.#dispatch({ type: 'worker-up', worker });
    this.#workersChanged();
  }

  /** Writes down how a lease ended; workers whose speed turns out to be another one are known by that from now on. */
  #note(granted: Granted, message: Extract<WorkerMessage, { type: 'result' }>): void {
    const { drvPath, peerId, cores } = granted;
    const planned = this.#plans.of(drvPath);
    if (planned === undefined) return;
    for (const found of this.#notes.result(planned, peerId, cores, message)) {
      for (const { job } of this.#runs.values()) job.outputsDiffer(drvPath, found);
    }
    for (const worker of this.#notes.changed()) this.#workerUp(worker);
  }

  #workersChanged(): void {
    for (const listener of [...this.#onWorkersChanged]) listener();
  }

  #receive(peerId: string, message: WorkerMessage): void {
    switch (message.type) {
      case 'worker': {
        const said = workerInfoOf(
          { peerId, name: this.#nameOf(peerId), isHome: peerId === this.#init.self },
          message,
          this.#components.net.members().find((member) => member.peerId === peerId)?.record,
        );
        this.#workerUp(this.#notes.judge(said));
        break;
      }
      case 'steal':
        if (!message.ahead) this.#ownSlots.waits(peerId, message.request);
        this.#dispatch({ ...message, peerId });
        break;
      case 'unsteal':
        this.#ownSlots.answered(peerId, message.request);
        this.#dispatch({ ...message, peerId });
        break;
      case 'heartbeat':
        this.#dispatch({ ...message, peerId });
        break;
      case 'fetching':
        this.#eachJob(peerId, message.lease, (job, lease) =>
          job.leases.fetching(lease, message.paths, message.bytes),
        );
        break;
      case 'fetched':
        this.#eachJob(peerId, message.lease, (job, lease) => job.leases.fetched(lease));
        break;
      case 'started':
        this.#eachJob(peerId, message.lease, (job, lease) => job.leases.started(lease));
        this.#dispatch({ type: 'started', peerId, lease: message.lease, attempt: message.attempt });
        break;
      case 'log':
        this.#eachJob(peerId, message.lease, (job, lease) =>
          job.leases.log(lease, message.lines, message.phase),
        );
        break;
      case 'returned':
        this.#lost(peerId, message.lease, message.missing);
        if (message.reason !== 'machine' && this.#grants.heldBy(peerId, message.lease) !== undefined)
          this.#endLease(message.lease, 'revoked', message.detail || GIVEN_BACK[message.reason]);
        this.#dispatch({
          type: 'returned',
          peerId,
          lease: message.lease,
          attempt: message.attempt,
          reason: message.reason,
          detail: message.detail,
        });
        break;
      case 'result': {
        const granted = this.#grants.heldBy(peerId, message.lease);
        if (granted !== undefined) {
          granted.buildMs = message.buildMs;
          granted.fetched = message.fetched;
          this.#note(granted, message);
        }
        const { lease, attempt, outcome } = message;
        this.#dispatch({ type: 'result', peerId, lease, attempt, outcome });
        break;
      }
    }
  }

  /**
   * Inputs that no member could give a worker. What was built for a job is built again; what was left out of its plan, because a
   * member had it, makes the job plan anew.
   */
  #lost(peerId: string, lease: string, paths: readonly string[]): void {
    const granted = this.#grants.heldBy(peerId, lease);
    if (granted === undefined) return;
    for (const path of paths) {
      const holders = this.holders.of(path);
      this.holders.dropPath(path);
      const producer = this.#plans.producerOf(path);
      if (producer !== undefined) {
        this.#dispatch({ type: 'outputs-lost', drvPath: producer });
        continue;
      }
      for (const run of this.#runs.values())
        if (run.held.has(path) && run.job.timelines.has(granted.drvPath)) run.lost.set(path, holders);
    }
    for (const [runId, run] of [...this.#runs]) if (run.lost.size > 0) this.cancel(runId);
  }

  #eachJob(peerId: string, lease: string, tell: (job: Job, lease: GivenLease) => void): void {
    const granted = this.#grants.heldBy(peerId, lease);
    if (granted === undefined) return;
    for (const { job } of this.#runs.values()) tell(job, granted);
  }

  /** A lease is over that brought no result. */
  #endLease(lease: string, outcome: 'revoked' | 'cancelled', detail: string): void {
    const granted = this.#grants.of(lease);
    if (granted === undefined) return;
    for (const { job } of this.#runs.values()) job.leases.leaseEnded(granted, outcome, detail);
    this.#grants.end(lease);
  }

  #requeue({ lease, message }: Effect<'attempt-failed'>): void {
    const granted = this.#grants.of(lease);
    if (granted === undefined) return;
    for (const { job } of this.#runs.values()) job.leases.requeued(granted, message);
    this.#grants.end(lease);
  }

  #nameOf(peerId: string): string {
    return this.#components.net.nameOf(peerId) ?? peerId.slice(-8);
  }

  #dispatch(event: WithoutNow<HomeEvent>): void {
    this.#loop.dispatch(event);
  }
}

/** Why a worker gives back what it has not built, where it says no more. */
const GIVEN_BACK = {
  revoked: 'it was asked back, because a slot elsewhere could begin it at once',
  busy: 'its machine had no slot for it after all',
} as const;

/** The job's report counts the machines its choice leaves. */
function meet({ job, options }: Run, worker: WorkerInfo): void {
  if (allows(options, worker)) job.meet(worker);
}
