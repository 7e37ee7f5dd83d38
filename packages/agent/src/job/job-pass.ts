import type { Clock, MeshNet } from '@mesh/net';
import type { JobOptions } from '@mesh/schedule';
import type { BuildInput } from '@mesh/wire';
import { MAX_REPLANS } from '../constants.ts';
import { AgentError } from '../errors.ts';
import type { Home } from '../home/home.ts';
import type { RunEnd } from '../home/runs.ts';
import { batches } from './batches.ts';
import { replay, untilEvaluated } from './build-inputs.ts';
import { Feasibility, type Impossibility } from './feasibility.ts';
import type { Job } from './job.ts';
import { fetchResults, type ResultFetcher, type RootPaths } from './job-result.ts';
import { isExplicit, unmatched } from './machine-choice.ts';
import { PlanCheck } from './plan-check.ts';
import { type Distrust, type PlannedDerivation, Planner, type PlannerComponents } from './planner.ts';

export interface PassComponents {
  net: MeshNet;
  home: Home;
  clock: Clock;
  planner: PlannerComponents;
  fetcher: ResultFetcher;
  /** When this agent started, by the wall clock. */
  agentStartedMs: number;
  /** The paths that nobody could give, if that is what this error says. */
  lostPaths(error: unknown): readonly string[];
  /** Says to the mesh how many jobs run here. */
  onJobsChanged(): void;
}

/** What all passes of a job have in common. */
export interface JobWork {
  readonly job: Job;
  readonly options: JobOptions;
  readonly signal: AbortSignal;
  readonly root: RootPaths;
  /** Nothing comes into this store. */
  readonly resultsStay: boolean;
}

/** Paths were lost that a pass counted on: its job has to plan again without trusting who was said to have them. */
interface Lost {
  readonly lost: Distrust;
  readonly error: Error;
}

/**
 * Takes a job through the scheduler and brings its result home; again where something was lost on the way.
 * @throws AgentError BUILD_CHOICE_IMPOSSIBLE before anything is built, BUILD_RESULT_LOST after too many goes; what planning and fetching throw
 */
export async function runJob(
  work: JobWork,
  inputs: AsyncIterable<BuildInput>,
  components: PassComponents,
): Promise<RunEnd> {
  const { job } = work;
  let wanted = inputs;
  let distrust: Distrust = new Map();
  for (let number = 0; ; number += 1) {
    const end = await new JobPass(work, number, distrust, components).run(wanted);
    if (!('error' in end)) return end;
    if (number >= MAX_REPLANS) throw end.error;
    job.emit({ type: 'note', level: 'warn', message: `${end.error.message} Planning again.` });
    wanted = replay(job.wanted);
    distrust = new Map([...distrust, ...end.lost]);
  }
}

/** One go at a job's plan: the first, or one after something was lost. */
class JobPass {
  readonly #work: JobWork;
  readonly #components: PassComponents;
  readonly #runId: string;
  readonly #isFirst: boolean;
  readonly #planner: Planner;
  readonly #check: PlanCheck;

  constructor(work: JobWork, number: number, distrust: Distrust, components: PassComponents) {
    this.#work = work;
    this.#components = components;
    this.#isFirst = number === 0;
    this.#runId = this.#isFirst ? work.job.id : `${work.job.id}.${number}`;
    this.#planner = new Planner(keepingValid(components.planner, work.root), distrust);
    this.#check = new PlanCheck(components, new Feasibility(work.options));
  }

  async run(inputs: AsyncIterable<BuildInput>): Promise<RunEnd | Lost> {
    const { job, options, signal, resultsStay } = this.#work;
    const { home, onJobsChanged } = this.#components;
    const ended = home.begin(this.#runId, job, options);
    onJobsChanged();
    const cancel = (): void => home.cancel(this.#runId);
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    let hopeless: Impossibility | undefined;
    let end: RunEnd;
    try {
      hopeless = await this.#feed(inputs);
      if (hopeless === undefined) home.seal(this.#runId);
      else {
        giveUp(job, hopeless);
        cancel();
      }
      end = await ended;
    } catch (error) {
      cancel();
      await ended;
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
    if (hopeless?.drvPath !== undefined && !signal.aborted)
      return { ...end, cancelled: false, failed: [hopeless.drvPath] };
    if (end.lost.size > 0 && !signal.aborted) return { lost: end.lost, error: inputsLost(end.lost) };
    if (end.cancelled || job.options.dryRun || resultsStay || (!end.ok && !job.options.keepGoing)) return end;
    return this.#fetchResults(end);
  }

  /**
   * Plans derivations as evaluation finds them and hands them to the scheduler; where the machines were chosen only when it is certain
   * that these can do all of it. What comes back is what nobody can build, if that is sure at once.
   * @throws AgentError BUILD_CHOICE_IMPOSSIBLE: before anything is built
   */
  async #feed(inputs: AsyncIterable<BuildInput>): Promise<Impossibility | undefined> {
    const { job, options, signal, root } = this.#work;
    const { home } = this.#components;
    const isChosen = this.#isFirst && isExplicit(job.options);
    const kept: PlannedDerivation[] = [];
    for await (const batch of batches(untilEvaluated(inputs, signal))) {
      if (signal.aborted) return undefined;
      if (this.#isFirst) job.wanted.push(...batch);
      await root(batch.map((wanted) => wanted.drvPath));
      const plan = await this.#planner.plan(batch);
      home.hold(this.#runId, plan.held);
      for (const { node } of this.#isFirst ? [] : plan.derivations) job.reopened(node.drvPath);
      const isLeft = ({ node }: PlannedDerivation): boolean => node.heldBy !== undefined;
      const left = plan.derivations.filter(isLeft).flatMap(({ node }) => node.outputs);
      const ours = plan.derivations.filter((planned) => !isLeft(planned));
      job.planned(ours, plan.held.size + left.length, plan.validCount);
      this.#check.needs.add(plan.derivations.map(({ node }) => node));
      if (isChosen) {
        refuse(await this.#check.choice(signal));
        kept.push(...plan.derivations);
        continue;
      }
      // With -k everything else is built first.
      const hopeless = job.options.keepGoing ? undefined : this.#check.hopeless();
      if (hopeless !== undefined) return hopeless;
      if (!job.options.dryRun) home.add(this.#runId, plan.derivations);
    }
    if (isChosen) refuse(await this.#check.derivations(signal));
    for (const message of job.timelines.size > 0 ? unmatched(options, home.workers().values()) : [])
      job.emit({ type: 'note', level: 'warn', message });
    if (!job.options.dryRun) home.add(this.#runId, kept);
    return undefined;
  }

  async #fetchResults(end: RunEnd): Promise<RunEnd | Lost> {
    const { job, signal } = this.#work;
    const { home, planner: store, fetcher, lostPaths } = this.#components;
    const { holders } = home;
    try {
      const failed = new Set(end.failed);
      await fetchResults(job, this.#planner, failed, this.#work, { holders, store, fetcher });
    } catch (error) {
      if (signal.aborted) return { ...end, cancelled: true };
      const lost = lostPaths(error);
      if (lost.length === 0 || !(error instanceof Error)) throw error;
      return { lost: new Map(lost.map((path) => [path, holders.of(path)])), error };
    }
    return end;
  }
}

/** The store, where what counts as valid stays so for the time of the job: the plan leaves it out, and machines will ask for it. */
function keepingValid(store: PlannerComponents, root: RootPaths): PlannerComponents {
  return {
    ...store,
    queryValidPaths: async (paths) => {
      const found = await store.queryValidPaths(paths);
      if (found.size === 0) return found;
      await root([...found]);
      return store.queryValidPaths([...found]);
    },
  };
}

/** Ends what a job planned, because one of its derivations can be built by nobody. */
function giveUp(job: Job, { drvPath, message }: Impossibility): void {
  const end = { peerId: null, buildMs: 0, fetched: [] };
  if (drvPath !== undefined) job.finished(drvPath, { ...end, outcome: 'failed', message, noMachine: true });
  for (const path of job.timelines.keys()) job.finished(path, { ...end, outcome: 'skipped' });
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
