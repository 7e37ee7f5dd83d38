import { allows, type JobOptions, LOCAL, machine } from '@mesh/schedule';
import type { BuildInput, BuildOptions } from '@mesh/wire';
import { MAX_FINISHED_JOBS, RESULT_ROOT_MS } from '../constants.ts';
import { AgentError } from '../errors.ts';
import { type GivenWork, withGiven } from './given-work.ts';
import { Job } from './job.ts';
import { type PassComponents, runJob } from './job-pass.ts';
import { announceEnd, type RootPaths } from './job-result.ts';
import { chooseMachines } from './machine-choice.ts';

export interface JobRunnerComponents extends Omit<PassComponents, 'agentStartedMs'> {
  /** Roots these paths for the time of a job; returns the way out. */
  rootPaths(): Promise<{ add: RootPaths; release(): void }>;
  randomId(): string;
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

  /** Which members were heard to have a path, while a job runs and until the next one starts. */
  holdersOf(path: string): string[] {
    return this.#components.home.holders.of(path);
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
   * @param submitter who asked, where that is not this machine's own user
   * @throws AgentError BUILD_BAD_SELECTOR, BUILD_UNKNOWN_MACHINE, BUILD_NOT_PERMITTED, AGENT_STOPPING: before anything is built
   */
  create(options: BuildOptions, submitter?: string): Job {
    const { net, clock, randomId } = this.#components;
    if (this.#stopping.signal.aborted) throw stopping();
    const jobOptions = this.#jobOptions(options);
    const job = new Job({
      id: randomId(),
      options,
      ...(submitter === undefined ? {} : { submitter }),
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
  async run(
    job: Job,
    inputs: AsyncIterable<BuildInput>,
    wanted: AbortSignal,
    given: GivenWork = {},
  ): Promise<void> {
    const { net, clock, onJobsChanged, rootPaths } = this.#components;
    const signal = AbortSignal.any([wanted, this.#stopping.signal]);
    job.emit({ type: 'job-started', job: job.id, home: net.self.name });
    if (!this.#maySubmit()) {
      const message = 'This machine has no submit role in the mesh: it builds alone.';
      job.emit({ type: 'note', level: 'warn', message });
    }
    let roots: Awaited<ReturnType<typeof rootPaths>> | undefined;
    const planner = withGiven(this.#components.planner, given);
    const resultsStay = given.resultsStay ?? false;
    try {
      roots = resultsStay ? NO_ROOTS : await rootPaths();
      const work = { job, options: this.#optionsOf(job), signal, root: roots.add, resultsStay };
      const components = { ...this.#components, planner, agentStartedMs: this.#startedMs };
      const end = await runJob(work, inputs, components);
      if (end.cancelled || signal.aborted) job.end('cancelled');
      else job.end(end.failed.length > 0 || !end.ok ? 'failed' : 'built');
      await announceEnd(job, planner);
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

  /** @throws AgentError BUILD_BAD_SELECTOR, BUILD_UNKNOWN_MACHINE, BUILD_NOT_PERMITTED */
  #jobOptions(options: BuildOptions): JobOptions {
    const { net, home } = this.#components;
    const choice = chooseMachines(options, [...net.members(), ...(home.builders?.named() ?? [])]);
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
    return this.#components.home.nameOf(peerId);
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

/** What stays elsewhere needs no roots here; inputs are kept by the client that has them valid. */
const NO_ROOTS = { add: async () => undefined, release: () => undefined };

function stopping(): AgentError {
  return new AgentError(
    'AGENT_STOPPING',
    'The agent was told to stop and cancelled this build; start it again and build again.',
  );
}
