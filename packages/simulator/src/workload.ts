import type { DerivationNode } from '@mesh/schedule';
import type { BuildGraph } from './build-graph.ts';
import { type History, predictorOf } from './predictor.ts';
import type { Random } from './random.ts';

/** One derivation of a simulated job, with what only reality knows of it. */
export interface Task {
  /** Its place in the workload. */
  readonly index: number;
  readonly drvPath: string;
  readonly name: string;
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  /** Indices of tasks. */
  readonly dependencies: readonly number[];
  readonly isDownload: boolean;
  /** Milliseconds of one core of a machine of speed 1. */
  readonly workMs: number;
  /** Share of the work that more cores divide (Amdahl). */
  readonly parallel: number;
  readonly memoryBytes: number;
  readonly outputBytes: number;
  /** What its home is told. */
  readonly node: DerivationNode;
}

export interface SimulatedJob {
  readonly id: string;
  /** Index of the machine where it is submitted. */
  readonly home: number;
  /** Indices of its tasks, dependencies first. */
  readonly tasks: readonly number[];
  /** Those nothing else needs: what the job wants at home. */
  readonly roots: readonly number[];
  readonly priority: number;
}

export interface Workload {
  readonly tasks: readonly Task[];
  readonly jobs: readonly SimulatedJob[];
}

export interface WorkloadOptions {
  /** Machines at which the graph is submitted, the first ones of the mesh. */
  readonly homes: number;
  /** Each home builds derivations of its own instead of the same ones. */
  readonly apart: boolean;
  /** All durations are multiplied by this. */
  readonly scale: number;
  /** Share of the work of builds over a minute that more cores divide. */
  readonly parallel: number;
  readonly history: History;
  /** Standard deviation of the logarithm of predicted over real duration, with a warm history. */
  readonly error: number;
  /** Downloads stay at home, as the agent plans them, or are builds like any other. */
  readonly downloads: 'home' | 'anywhere';
}

export const DEFAULT_WORKLOAD: WorkloadOptions = {
  homes: 1,
  apart: false,
  scale: 1,
  parallel: 0,
  history: 'warm',
  error: 1,
  downloads: 'home',
};

/** Only builds longer than this have anything to divide among cores. */
const PARALLEL_FROM_MS = 60_000;

/** Memory of an ordinary build, how much it varies, and how it grows with the duration over a median one. */
const MEDIAN_MEMORY_BYTES = 200e6;
const MEMORY_SIGMA = 0.5;
const MEMORY_GROWTH = 0.35;
const MEDIAN_WORK_MS = 6_000;

/** Makes jobs of a graph: the same seed, graph and options give the same workload. */
export function makeWorkload(graph: BuildGraph, options: WorkloadOptions, random: Random): Workload {
  const tasks: Task[] = [];
  const jobs: SimulatedJob[] = [];
  for (let home = 0; home < options.homes; home++) {
    if (home === 0 || options.apart)
      addTasks(tasks, graph, options, random, options.apart ? `h${home}-` : '');
    const count = graph.names.length;
    const first = options.apart ? home * count : 0;
    const indices = Array.from({ length: count }, (_, i) => first + i);
    const needed = new Set(indices.flatMap((i) => tasks[i]!.dependencies));
    jobs.push({
      id: `job${home}`,
      home,
      tasks: indices,
      roots: indices.filter((i) => !needed.has(i)),
      priority: 1,
    });
  }
  return { tasks, jobs };
}

function addTasks(
  tasks: Task[],
  graph: BuildGraph,
  options: WorkloadOptions,
  random: Random,
  prefix: string,
): void {
  const first = tasks.length;
  const memory = random.split(`${prefix}memory`);
  const predict = predictorOf(graph, options, random.split(`${prefix}prediction`));
  for (const [i, name] of graph.names.entries()) {
    const seconds = graph.workMs[i];
    const isDownload = seconds === undefined;
    const workMs = (seconds ?? 0) * options.scale;
    const parallel = workMs > PARALLEL_FROM_MS ? options.parallel : 0;
    const growth = Math.max(1, workMs / MEDIAN_WORK_MS) ** MEMORY_GROWTH;
    const memoryBytes = isDownload ? 0 : memory.lognormal(MEDIAN_MEMORY_BYTES * growth, MEMORY_SIGMA);
    const drvPath = drvPathOf(prefix, i, name);
    const truth = { index: i, workMs, parallel, memoryBytes, isDownload, outputBytes: graph.outputBytes[i]! };
    const system = graph.systems[i]!;
    const requiredFeatures = graph.requiredFeatures[i]!;
    tasks.push({
      ...truth,
      index: first + i,
      drvPath,
      name,
      system,
      requiredFeatures,
      dependencies: graph.dependencies[i]!.map((d) => first + d),
      node: {
        drvPath,
        name,
        system,
        requiredFeatures,
        dependencies: graph.dependencies[i]!.map((d) => tasks[first + d]!.drvPath),
        place: isDownload && options.downloads === 'home' ? 'prefer-home' : 'anywhere',
        outputs: [drvPath.slice(0, -'.drv'.length)],
        ...predict(truth),
      },
    });
  }
}

function drvPathOf(prefix: string, index: number, name: string): string {
  return `/nix/store/${prefix}${index}-${name}.drv`;
}
