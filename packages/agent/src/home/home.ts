import type { Clock, Logger, MeshNet } from '@mesh/net';
import {
  explainWaiting,
  type HomeEffect,
  type HomeEvent,
  type HomeState,
  initialHome,
  type JobOptions,
  stepHome,
  type WorkerInfo,
} from '@mesh/schedule';
import type { HomeMessage, WorkerMessage } from '@mesh/wire';
import type { AgentlessBuilders } from '../agentless/builders.ts';
import type { Job } from '../job/job.ts';
import type { PlannedDerivation } from '../job/planner.ts';
import type { WorkChannel } from '../memory-channel.ts';
import { sourceName } from '../source-name.ts';
import { StepLoop, type WithoutNow } from '../step-loop.ts';
import { BuildNotes, type HomeHistory } from './build-notes.ts';
import { carryOut } from './carry-out.ts';
import { Claims } from './claims.ts';
import { FreshPredictions } from './fresh-predictions.ts';
import { GoBetween } from './go-between.ts';
import { Grants } from './grants.ts';
import { type HearingTools, hearWorker } from './hear-worker.ts';
import { Holders } from './holders.ts';
import { KnownWorkers } from './known-workers.ts';
import { LateOutputs, type OutputRegistry } from './late-outputs.ts';
import { LeaseNews } from './lease-news.ts';
import { OwnSlots } from './own-slots.ts';
import { Plans } from './plans.ts';
import { meet, type RunEnd, Runs } from './runs.ts';
import { WorkerLinks } from './worker-links.ts';

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
  /** Machines that only this home has for workers. */
  builders?: Pick<AgentlessBuilders, 'call' | 'rest' | 'nameOf' | 'named' | 'expected' | 'absences'>;
  /** Stores the log of a build that ran elsewhere, so that `nix log` works here. */
  storeLog(drvPath: string, lines: string[]): Promise<void>;
  /** Absent where this machine's Nix takes no word for what others built. */
  outputRegistry?: OutputRegistry;
  /** Brings paths and what they refer to into this machine's store. */
  fetch(inputs: readonly { path: string; holders: readonly string[] }[]): Promise<unknown>;
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
  readonly #links: WorkerLinks;
  readonly #workers = new KnownWorkers();
  readonly #runs = new Runs();
  readonly #plans = new Plans();
  readonly #grants = new Grants();
  readonly #leaseNews = new LeaseNews(this.#grants, this.#runs);
  readonly #notes: BuildNotes;
  readonly #predictions: FreshPredictions;
  readonly #ownSlots: OwnSlots;
  readonly #goBetween: GoBetween;
  readonly #lateOutputs: LateOutputs;

  constructor(init: HomeInit, components: HomeComponents) {
    const { net, clock, logger } = components;
    this.#init = init;
    this.#components = components;
    this.#notes = new BuildNotes(components.history, clock);
    this.#state = initialHome({ self: init.self, incarnation: init.incarnation });
    this.#ownSlots = new OwnSlots(init.self, (free) => {
      for (const job of this.#runs.jobs()) job.homeSlots(free);
    });
    const dispatch = (event: WithoutNow<HomeEvent>): void => this.#loop.dispatch(event);
    this.#predictions = this.#freshPredictions();
    components.history.onRecorded(() => {
      if (this.#runs.size > 0) this.#predictions.learned();
    });
    this.#goBetween = new GoBetween({
      self: init.self,
      holders: this.holders,
      clock,
      logger,
      isConnected: (peerId) => net.connectedMembers().includes(peerId),
      fetch: (inputs) => components.fetch(inputs),
    });
    this.#lateOutputs = new LateOutputs({
      self: init.self,
      plans: this.#plans,
      ...{ clock, logger, dispatch },
      registry: components.outputRegistry,
      fetch: (inputs) => components.fetch(inputs),
    });
    this.#claims = new Claims({ net, clock, logger, dispatch });
    const hearing = this.#hearing(dispatch);
    this.#links = new WorkerLinks({
      ...{ net, clock, logger },
      onMessage: (peerId, message) => hearWorker(peerId, message, hearing),
      onGone: (peerId) => this.#workerGone(peerId),
    });
    const { storeLog } = components;
    const tools = { ...hearing, links: this.#links, claims: this.#claims, clock, logger, storeLog };
    this.#loop = new StepLoop({
      clock,
      step: (event) => stepHome(this.#state, event).effects,
      perform: (effect) => carryOut(effect, tools),
      tick: { type: 'tick' },
    });
  }

  start(): void {
    const { events } = this.#components.net;
    this.#claims.start();
    events.on('member-up', (peerId) => {
      this.#claims.memberUp(peerId);
      if (this.#runs.size > 0) void this.#links.call(peerId);
      this.#tellOfPeer(peerId, 'up');
    });
    events.on('member-down', (peerId) => {
      this.#claims.memberDown(peerId);
      this.#links.drop(peerId);
      this.#tellOfPeer(peerId, 'down');
    });
  }

  /** Takes leave of the workers. What they were told before, that leases are cancelled above all, has arrived when this resolves. */
  async stop(): Promise<void> {
    this.#loop.stop();
    this.#predictions.stop();
    await this.#links.leave();
  }

  /** Jobs under way. */
  get running(): number {
    return this.#runs.jobCount;
  }

  /** The workers that have introduced themselves, by peer id; this machine's own among them. */
  workers(): ReadonlyMap<string, WorkerInfo> {
    return this.#workers.all();
  }

  /** Members whose worker was called and has not introduced itself yet. */
  called(): ReadonlySet<string> {
    return this.#links.pending();
  }

  /** Machines that only this home has for workers: what they are called, which may come within seconds, why others do not. */
  get builders(): HomeComponents['builders'] {
    return this.#components.builders;
  }

  /** Calls `listener` whenever a worker comes, changes or goes; returns the way to stop that. */
  onWorkersChanged(listener: () => void): () => void {
    return this.#workers.onChanged(listener);
  }

  /** A machine that only this home has for a worker, until its channel ends. */
  attachWorker(peerId: string, channel: WorkChannel<HomeMessage, WorkerMessage>): void {
    this.#links.attach(peerId, channel);
  }

  /** What users read of a worker's or a member's peer id. */
  nameOf(peerId: string): string {
    const { builders, net } = this.#components;
    return builders?.nameOf(peerId) ?? sourceName(peerId, net);
  }

  /** This machine's own worker: a worker like any other, at distance zero. */
  attachOwnWorker(channel: WorkChannel<HomeMessage, WorkerMessage>): void {
    this.#links.attach(this.#init.self, channel);
  }

  /** Starts a pass; the promise is for its end. */
  begin(runId: string, job: Job, options: JobOptions): Promise<RunEnd> {
    // What earlier jobs heard may be forgotten: a job that still fetches its result asks the members themselves.
    if (this.#runs.size === 0) {
      this.holders.clear();
      this.#goBetween.clear();
    }
    // Ahead of need: evaluation takes longer than opening streams.
    this.#links.callAll();
    const { builders } = this.#components;
    builders?.call();
    const { run, end } = this.#runs.begin(runId, job, options);
    void end.then(() => {
      if (this.#runs.size === 0) builders?.rest();
    });
    for (const worker of this.#workers.all().values()) meet(run, worker);
    job.homeSlots(this.#ownSlots.free);
    this.#loop.dispatch({ type: 'job-added', job: runId, options });
    return end;
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
    for (const { drvPath } of nodes) this.#runs.get(runId)?.derivations.add(drvPath);
    if (nodes.length > 0) this.#loop.dispatch({ type: 'derivations-added', job: runId, derivations: nodes });
  }

  seal(runId: string): void {
    this.#loop.dispatch({ type: 'job-sealed', job: runId });
  }

  cancel(runId: string): void {
    this.#loop.dispatch({ type: 'job-cancelled', job: runId });
  }

  /** What a derivation that no machine has yet waits for, in a sentence; undefined where the scheduler does not know it. */
  explain(drvPath: string): string | undefined {
    const derivation = this.#state.graph.get(drvPath);
    const other = derivation?.claim.deferredTo;
    if (other === undefined || derivation?.status !== 'waiting')
      return explainWaiting(this.#state, drvPath, this.#components.clock.monotonic());
    return `${this.nameOf(other)} builds it for a job of its own; this job takes what comes of that.`;
  }

  #hearing(dispatch: HearingTools['dispatch']): HearingTools {
    return {
      self: this.#init.self,
      net: this.#components.net,
      nameOf: (peerId) => this.nameOf(peerId),
      runs: this.#runs,
      plans: this.#plans,
      grants: this.#grants,
      leaseNews: this.#leaseNews,
      holders: this.holders,
      goBetween: this.#goBetween,
      lateOutputs: this.#lateOutputs,
      notes: this.#notes,
      ownSlots: this.#ownSlots,
      workerUp: (worker) => this.#workerUp(worker),
      dispatch,
    };
  }

  #freshPredictions(): FreshPredictions {
    const { clock, history } = this.#components;
    return new FreshPredictions({
      clock,
      planned: () => this.#plans.all(),
      isOpen: (drvPath) => {
        const status = this.#state.graph.get(drvPath)?.status;
        return status === 'waiting' || status === 'ready';
      },
      predict: ({ node, derivation, shape }) => history.predict(node.name, derivation.system, shape),
      changed: (predictions) => {
        for (const [drvPath, prediction] of predictions) {
          this.#plans.predicted(drvPath, prediction);
          for (const job of this.#runs.jobs()) job.predicted(drvPath, prediction);
        }
        this.#loop.dispatch({ type: 'predictions-changed', predictions });
      },
    });
  }

  #workerUp(worker: WorkerInfo): void {
    this.#workers.set(worker);
    this.#runs.meet(worker);
    this.#loop.dispatch({ type: 'worker-up', worker });
    this.#workers.changed();
  }

  #workerGone(peerId: string): void {
    this.#workers.delete(peerId);
    this.#notes.forget(peerId);
    this.holders.dropPeer(peerId);
    this.#loop.dispatch({ type: 'worker-down', peerId });
    // What it had not started counts as no failure: the home state machine says nothing about it.
    for (const { lease } of this.#grants.allOf(peerId))
      this.#leaseNews.ended(lease, 'revoked', 'the machine left');
    this.#workers.changed();
  }

  #tellOfPeer(peerId: string, state: 'up' | 'down'): void {
    for (const job of this.#runs.jobs()) job.emit({ type: 'peer', peer: this.nameOf(peerId), state });
  }
}
