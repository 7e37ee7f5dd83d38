import type { Clock, Logger, MeshNet } from '@mesh/net';
import { allows, type JobOptions, LOCAL, machine } from '@mesh/schedule';
import type { BuildInput, BuildOptions } from '@mesh/wire';
import { MAX_FINISHED_JOBS, MAX_REPLANS, RESULT_ROOT_MS } from '../constants.ts';
import { AgentError } from '../errors.ts';
import type { Home } from '../home/home.ts';
import type { RunEnd } from '../home/runs.ts';
import { batches } from './batches.ts';
import { replay, untilEvaluated } from './build-inputs.ts';
import { Feasibility, type Impossibility } from './feasibility.ts';
import { Job } from './job.ts';
import { chooseMachines, isExplicit, unmatched } from './machine-choice.ts';
import { PlanCheck } from './plan-check.ts';
import { type Distrust, type PlannedDerivation, Planner, type PlannerComponents } from './planner.ts';
import { wantedOutputs } from './wanted-outputs.ts';

/** Brings wanted paths home. */
export interface ResultFetcher {
  fetchClosure(
    paths: readonly { path: string; holders: readonly string[] }[],
    options: { signal: AbortSignal; onPlan(paths: number, bytes: number): void },
  ): Promise<{ sources: readonly { peer: string; bytes: number }[] }>;
}

export interface JobRunnerComponents {
  net: MeshNet;
  home: Home;
  clock: Clock;
  logger: Logger;
  planner: PlannerComponents;
  fetcher: ResultFetcher;
  /** Roots these paths for the time of a job; returns the way out. */
  rootPaths(): Promise<{ add(paths: string[]): Promise<void>; release(): void }>;
  randomId(): string;
  /** The paths that nobody could give, if that is what this error says. */
  lostPaths(error: unknown): readonly string[];
  /** Says to the mesh how many jobs run here. */
  onJobsChanged(): void;
}

/** One go at a job's plan: the first, or one after something was lost. */
interface Pass {
  job: Job;
  runId: string;
  planner: Planner;
  check: PlanCheck;
  signal: AbortSignal;
  root: (paths: string[]) => Promise<void>;
  isFirst: boolean;
}

/** Takes jobs from submission to result: plan while evaluation streams, let the scheduler run it, bring the wanted closure home. */
export class JobRunner {
  readonly #components: JobRunnerComponents;
  readonly #jobs = new Map<string, Job>();
  readonly #options = new WeakMap<Job, JobOptions>();
  readonly #idle: (() => void)[] = [];
  readonly #stopping = new AbortController();
  readonly #startedMs: number;

  constructor(components: JobRunnerComponents) {
    this.#components = components;
    this.#startedMs = components.clock.now();
  }

  /** Newest first. */
  jobs(): Job[] {
    return [...this.#jobs.values()].reverse();
  }

  /** What a derivation that no machine has yet waits for; undefined where the scheduler does not say. */
  explainWaiting(drvPath: string): string | undefined {
    return this.#components.home.explain(drvPath);
  }

  /** Resolves when no job runs. */
  async idle(): Promise<void> {
    if (this.#running() > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Cancels every job and takes no more; resolves when none runs. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.idle();
  }

  /**
   * Registers a job, so that its events can be listened to before it runs.
   * @throws AgentError BUILD_BAD_SELECTOR, BUILD_UNKNOWN_MACHINE, BUILD_NOT_PERMITTED, AGENT_STOPPING: before anything is built
   */
  create(options: BuildOptions): Job {
    const { net, clock, randomId } = this.#components;
    if (this.#stopping.signal.aborted) throw stopping();
    const jobOptions = this.#jobOptions(options);
    const job = new Job({
      id: randomId(),
      options,
      home: net.self.peerId,
      nameOf: (peerId) => this.#nameOf(peerId),
      nowMs: () => clock.monotonic(),
      wallMs: () => clock.now(),
    });
    this.#jobs.set(job.id, job);
    this.#options.set(job, jobOptions);
    this.#forgetOld();
    return job;
  }

  /**
   * Runs a job to its end. A failed build is an end (`job.state`); what throws is the job's own trouble (unreadable derivation,
   * lost result).
   */
  async run(job: Job, inputs: AsyncIterable<BuildInput>, wanted: AbortSignal): Promise<void> {
    const { net, clock, onJobsChanged, rootPaths } = this.#components;
    const signal = AbortSignal.any([wanted, this.#stopping.signal]);
    job.emit({ type: 'job-started', job: job.id, home: net.self.name });
    if (!this.#maySubmit()) {
      const message = 'This machine has no submit role in the mesh: it builds alone.';
      job.emit({ type: 'note', level: 'warn', message });
    }
    let roots: Awaited<ReturnType<typeof rootPaths>> | undefined;
    try {
      roots = await rootPaths();
      const end = await this.#runOnce(job, inputs, signal, roots.add);
      if (end.cancelled || signal.aborted) job.end('cancelled');
      else job.end(end.failed.length > 0 || !end.ok ? 'failed' : 'built');
      await this.#announceEnd(job);
      if (this.#stopping.signal.aborted) throw stopping();
    } catch (error) {
      const isLeft = error instanceof AgentError && error.code === 'BUILD_CANCELLED';
      job.end(signal.aborted || isLeft ? 'cancelled' : 'failed');
      throw error;
    } finally {
      // The command has yet to register its result links as roots.
      clock.after(RESULT_ROOT_MS, () => roots?.release());
      this.#dropLogs(job);
      onJobsChanged();
      if (this.#running() === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  async #runOnce(
    job: Job,
    inputs: AsyncIterable<BuildInput>,
    signal: AbortSignal,
    root: (paths: string[]) => Promise<void>,
    pass = 0,
    distrust: Distrust = new Map(),
  ): Promise<RunEnd> {
    const { home, onJobsChanged } = this.#components;
    const runId = pass === 0 ? job.id : `${job.id}.${pass}`;
    const planner = new Planner(this.#components.planner, distrust);
    const options = this.#optionsOf(job);
    const check = new PlanCheck(
      { ...this.#components, agentStartedMs: this.#startedMs },
      new Feasibility(options),
    );
    const ended = home.begin(runId, job, options);
    onJobsChanged();
    const cancel = (): void => home.cancel(runId);
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    let hopeless: Impossibility | undefined;
    try {
      hopeless = await this.#feed({ job, runId, planner, check, signal, root, isFirst: pass === 0 }, inputs);
    } catch (error) {
      home.cancel(runId);
      await ended;
      throw error;
    }
    if (hopeless !== undefined) {
      this.#giveUp(job, hopeless);
      home.cancel(runId);
    } else home.seal(runId);
    const end = await ended;
    signal.removeEventListener('abort', cancel);
    if (hopeless?.drvPath !== undefined && !signal.aborted)
      return { ...end, cancelled: false, failed: [hopeless.drvPath] };
    const again = (lost: Distrust, error: Error): Promise<RunEnd> => {
      if (pass >= MAX_REPLANS) throw error;
      job.emit({ type: 'note', level: 'warn', message: `${error.message} Planning again.` });
      return this.#runOnce(job, replay(job.wanted), signal, root, pass + 1, new Map([...distrust, ...lost]));
    };
    if (end.lost.size > 0 && !signal.aborted) return again(end.lost, inputsLost(end.lost));
    if (end.cancelled || job.options.dryRun || (!end.ok && !job.options.keepGoing)) return end;
    try {
      await this.#fetchResults(job, planner, new Set(end.failed), signal, root);
    } catch (error) {
      if (signal.aborted) return { ...end, cancelled: true };
      const lost = this.#components.lostPaths(error);
      if (lost.length === 0 || !(error instanceof Error)) throw error;
      return again(new Map(lost.map((path) => [path, home.holders.of(path)])), error);
    }
    return end;
  }

  /**
   * Plans derivations as evaluation finds them and hands them to the scheduler; where the machines were chosen only when it is certain
   * that these can do all of it. What comes back is what nobody can build, if that is sure at once.
   * @throws AgentError BUILD_CHOICE_IMPOSSIBLE: before anything is built
   */
  async #feed(pass: Pass, inputs: AsyncIterable<BuildInput>): Promise<Impossibility | undefined> {
    const { job, runId, planner, check, signal, root, isFirst } = pass;
    const { home } = this.#components;
    const options = this.#optionsOf(job);
    const isChosen = isFirst && isExplicit(job.options);
    const kept: PlannedDerivation[] = [];
    for await (const batch of batches(untilEvaluated(inputs, signal))) {
      if (signal.aborted) return undefined;
      if (isFirst) job.wanted.push(...batch);
      await root(batch.map((wanted) => wanted.drvPath));
      const plan = await planner.plan(batch);
      home.hold(runId, plan.held);
      for (const { node } of isFirst ? [] : plan.derivations) job.reopened(node.drvPath);
      job.planned(plan.derivations, plan.held.size, plan.validCount);
      check.needs.add(plan.derivations.map(({ node }) => node));
      if (isChosen) {
        refuse(await check.choice(signal));
        kept.push(...plan.derivations);
        continue;
      }
      // With -k everything else is built first.
      const hopeless = job.options.keepGoing ? undefined : check.hopeless();
      if (hopeless !== undefined) return hopeless;
      if (!job.options.dryRun) home.add(runId, plan.derivations);
    }
    if (isChosen) refuse(await check.derivations(signal));
    for (const message of job.timelines.size > 0 ? unmatched(options, home.workers().values()) : [])
      job.emit({ type: 'note', level: 'warn', message });
    if (!job.options.dryRun) home.add(runId, kept);
    return undefined;
  }

  /** Ends what a job planned, because one of its derivations can be built by nobody. */
  #giveUp(job: Job, { drvPath, message }: Impossibility): void {
    const end = { peerId: null, buildMs: 0, fetched: [] };
    if (drvPath !== undefined) job.finished(drvPath, { ...end, outcome: 'failed', message, noMachine: true });
    for (const path of job.timelines.keys()) job.finished(path, { ...end, outcome: 'skipped' });
  }

  /** Brings home the wanted outputs that are not here yet. */
  async #fetchResults(
    job: Job,
    planner: Planner,
    failed: ReadonlySet<string>,
    signal: AbortSignal,
    root: (paths: string[]) => Promise<void>,
  ): Promise<void> {
    const { home, planner: store, fetcher } = this.#components;
    const outputs = (await wantedOutputs(job, planner, failed)).flatMap((wanted) =>
      Object.values(wanted.outputs),
    );
    await root(outputs);
    const valid = await store.queryValidPaths(outputs);
    const missing = outputs.filter((path) => !valid.has(path));
    if (missing.length === 0) return;
    const paths = missing.map((path) => ({ path, holders: home.holders.of(path) }));
    const { sources } = await fetcher.fetchClosure(paths, {
      signal,
      onPlan: (count, bytes) => job.emit({ type: 'result-fetch', paths: count, bytes, done: false }),
    });
    job.resultFetched = [...job.resultFetched, ...sources];
    const bytes = sources.reduce((sum, source) => sum + source.bytes, 0);
    job.emit({ type: 'result-fetch', paths: missing.length, bytes, done: true });
  }

  async #announceEnd(job: Job): Promise<void> {
    const { planner: store } = this.#components;
    const failed = new Set(job.failures.map((failure) => failure.drvPath));
    const planner = new Planner(store);
    const wanted =
      job.state === 'cancelled' || job.options.dryRun ? [] : await wantedOutputs(job, planner, failed);
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

  /** @throws AgentError BUILD_BAD_SELECTOR, BUILD_UNKNOWN_MACHINE, BUILD_NOT_PERMITTED */
  #jobOptions(options: BuildOptions): JobOptions {
    const { net, home } = this.#components;
    const choice = chooseMachines(options, net.members());
    const job = { ...choice, keepGoing: options.keepGoing, priority: options.priority };
    if (this.#maySubmit()) return job;
    const self = home.workers().get(net.self.peerId);
    if (options.on !== undefined && (self === undefined || !allows({ only: choice.only }, self))) {
      throw new AgentError(
        'BUILD_NOT_PERMITTED',
        'This machine has no submit role in the mesh, so no other machine builds for it: leave out --on to build here.',
      );
    }
    return { ...job, only: [machine(net.self.peerId, LOCAL)] };
  }

  /** Whether others build for this machine; itself it always may. */
  #maySubmit(): boolean {
    const { net } = this.#components;
    return net.rolesOf(net.self.peerId).includes('submit');
  }

  #running(): number {
    return [...this.#jobs.values()].filter((job) => job.state === 'running').length;
  }

  #optionsOf(job: Job): JobOptions {
    const options = this.#options.get(job);
    if (options === undefined) throw new Error(`job ${job.id} was not created here`);
    return options;
  }

  #nameOf(peerId: string): string {
    return this.#components.net.nameOf(peerId) ?? peerId.slice(-8);
  }

  /** Logs of what was built are with Nix by now; those of failed builds stay for `mesh log`. */
  #dropLogs(job: Job): void {
    for (const [drvPath, timeline] of job.timelines)
      if (timeline.outcome !== 'failed') job.logs.delete(drvPath);
  }

  #forgetOld(): void {
    for (const [id, job] of this.#jobs) {
      if (this.#jobs.size <= MAX_FINISHED_JOBS) return;
      if (job.state !== 'running') this.#jobs.delete(id);
    }
  }
}

function inputsLost(lost: Distrust): AgentError {
  const [path = ''] = lost.keys();
  const which = lost.size === 1 ? path : `${path} and ${lost.size - 1} other paths`;
  return new AgentError('BUILD_RESULT_LOST', `No connected member could give ${which} any more.`);
}

/** @throws AgentError BUILD_CHOICE_IMPOSSIBLE */
function refuse(impossible: Impossibility | undefined): void {
  if (impossible !== undefined) throw new AgentError('BUILD_CHOICE_IMPOSSIBLE', impossible.message);
}

function stopping(): AgentError {
  return new AgentError(
    'AGENT_STOPPING',
    'The agent was told to stop and cancelled this build; start it again and build again.',
  );
}
