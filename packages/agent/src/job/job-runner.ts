import type { Clock, Logger, MeshNet } from '@mesh/net';
import { allows, type JobOptions, type MachineSelector, machine } from '@mesh/schedule';
import type { BuildInput, BuildOptions } from '@mesh/wire';
import { MAX_FINISHED_JOBS, MAX_REPLANS, RESULT_ROOT_MS } from '../constants.ts';
import { AgentError } from '../errors.ts';
import type { Home, RunEnd } from '../home/home.ts';
import { batches } from './batches.ts';
import { replay, untilEvaluated } from './build-inputs.ts';
import { Job } from './job.ts';
import { type Distrust, Planner, type PlannerComponents, type Wanted } from './planner.ts';

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

/** Takes jobs from submission to result: plan while evaluation streams, let the scheduler run it, bring the wanted closure home. */
export class JobRunner {
  readonly #components: JobRunnerComponents;
  readonly #jobs = new Map<string, Job>();
  readonly #idle: (() => void)[] = [];
  readonly #stopping = new AbortController();

  constructor(components: JobRunnerComponents) {
    this.#components = components;
  }

  /** Newest first. */
  jobs(): Job[] {
    return [...this.#jobs.values()].reverse();
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
   * @throws AgentError BUILD_UNKNOWN_MACHINE, BUILD_NOT_PERMITTED, AGENT_STOPPING: before anything is built
   */
  create(options: BuildOptions): Job {
    const { net, clock, randomId } = this.#components;
    if (this.#stopping.signal.aborted) throw stopping();
    this.#selectors(options);
    const job = new Job({
      id: randomId(),
      options,
      home: net.self.peerId,
      nameOf: (peerId) => this.#nameOf(peerId),
      nowMs: () => clock.monotonic(),
      wallMs: () => clock.now(),
    });
    this.#jobs.set(job.id, job);
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
    const ended = home.begin(runId, job, this.#selectors(job.options));
    onJobsChanged();
    const cancel = (): void => home.cancel(runId);
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      await this.#feed(job, runId, planner, inputs, signal, root, pass);
    } catch (error) {
      home.cancel(runId);
      await ended;
      throw error;
    }
    home.seal(runId);
    const end = await ended;
    signal.removeEventListener('abort', cancel);
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

  /** Plans derivations as evaluation finds them and hands them to the scheduler. */
  async #feed(
    job: Job,
    runId: string,
    planner: Planner,
    inputs: AsyncIterable<BuildInput>,
    signal: AbortSignal,
    root: (paths: string[]) => Promise<void>,
    pass: number,
  ): Promise<void> {
    const { home } = this.#components;
    for await (const batch of batches(untilEvaluated(inputs, signal))) {
      if (signal.aborted) return;
      if (pass === 0) job.wanted.push(...batch);
      await root(batch.map((wanted) => wanted.drvPath));
      const plan = await planner.plan(batch);
      home.hold(runId, plan.held);
      for (const { node } of pass === 0 ? [] : plan.derivations) job.reopened(node.drvPath);
      job.planned(plan.derivations, plan.held.size, plan.validCount);
      job.slots = this.#slotsFor(job.options);
      if (!job.options.dryRun) home.add(runId, plan.derivations);
    }
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
    const outputs = (await this.#wantedOutputs(job, planner, failed)).flatMap((wanted) =>
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
      job.state === 'cancelled' || job.options.dryRun ? [] : await this.#wantedOutputs(job, planner, failed);
    const valid = await store.queryValidPaths(wanted.flatMap((entry) => Object.values(entry.outputs)));
    job.slots = Math.max(job.slots, this.#slotsFor(job.options));
    job.emit({
      type: 'job-finished',
      job: job.id,
      ok: job.state === 'built',
      cancelled: job.state === 'cancelled',
      outputs: wanted.filter((entry) => Object.values(entry.outputs).every((path) => valid.has(path))),
      failed: [...failed],
      report: job.report(),
    });
  }

  async #wantedOutputs(
    job: Job,
    planner: Planner,
    failed: ReadonlySet<string>,
  ): Promise<{ drvPath: string; outputs: Record<string, string> }[]> {
    const entries: { drvPath: string; outputs: Record<string, string> }[] = [];
    for (const wanted of job.wanted) {
      if (failed.has(wanted.drvPath)) continue;
      const outcome = job.timelines.get(wanted.drvPath)?.outcome;
      if (outcome === 'skipped' || outcome === 'cancelled' || outcome === 'failed') continue;
      entries.push({ drvPath: wanted.drvPath, outputs: await this.#outputPaths(job, wanted, planner) });
    }
    return entries;
  }

  async #outputPaths(job: Job, wanted: Wanted, planner: Planner): Promise<Record<string, string>> {
    const derivation = await planner.derivation(wanted.drvPath);
    const names = wanted.outputs.length > 0 ? wanted.outputs : [...derivation.outputs.keys()];
    const paths: Record<string, string> = {};
    for (const name of names) {
      const path = derivation.outputs.get(name)?.path;
      if (path === undefined) {
        throw new AgentError(
          'BUILD_NOTHING_WANTED',
          `${wanted.drvPath} has no output ${name}; it has ${[...derivation.outputs.keys()].join(', ')}.`,
        );
      }
      const known = path !== '' ? path : job.builtOutputs.get(wanted.drvPath)?.get(name);
      if (known !== undefined) paths[name] = known;
    }
    return paths;
  }

  /** @throws AgentError BUILD_UNKNOWN_MACHINE, BUILD_NOT_PERMITTED */
  #selectors(options: BuildOptions): JobOptions {
    const self = this.#components.net.self.peerId;
    const on = options.local ? [machine(self)] : options.on?.flatMap((name) => this.#peersOf(name));
    const not = options.not?.flatMap((name) => this.#peersOf(name));
    if (
      !this.#maySubmit() &&
      options.on !== undefined &&
      !options.on.flatMap((name) => this.#peersOf(name)).some((s) => s.text === self)
    ) {
      throw new AgentError(
        'BUILD_NOT_PERMITTED',
        'This machine has no submit role in the mesh, so no other machine builds for it: leave out --on to build here.',
      );
    }
    const only = this.#maySubmit() ? on : [machine(self)];
    return { keepGoing: options.keepGoing, ...(only ? { only } : {}), ...(not ? { not } : {}) };
  }

  /** Whether others build for this machine; itself it always may. */
  #maySubmit(): boolean {
    const { net } = this.#components;
    return net.rolesOf(net.self.peerId).includes('submit');
  }

  #peersOf(name: string): MachineSelector[] {
    const members = this.#components.net.members();
    const found = members.filter((member) => member.name === name || member.peerId === name);
    if (found.length > 0) return found.map((member) => machine(member.peerId));
    const names = members.map((member) => member.name).join(', ');
    throw new AgentError(
      'BUILD_UNKNOWN_MACHINE',
      `No machine of this mesh is called ${name}; there are ${names}.`,
      {
        exitCode: 2,
      },
    );
  }

  #running(): number {
    return [...this.#jobs.values()].filter((job) => job.state === 'running').length;
  }

  #slotsFor(options: BuildOptions): number {
    const policy = this.#selectors(options);
    let slots = 0;
    for (const worker of this.#components.home.workers().values())
      if (allows(policy, worker)) slots += worker.slots;
    return slots;
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

function stopping(): AgentError {
  return new AgentError(
    'AGENT_STOPPING',
    'The agent was told to stop and cancelled this build; start it again and build again.',
  );
}
