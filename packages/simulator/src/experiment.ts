import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { boundOf } from './bounds.ts';
import { type BuildGraph, systemsOf } from './build-graph.ts';
import { QUIET_HEARTBEAT_MS } from './constants.ts';
import { SimulatorError } from './errors.ts';
import { drawFaults, type FaultOptions } from './faults.ts';
import { generateGraph, SHAPE_NAMES } from './generated-graph.ts';
import { readGraphFile } from './graph-file.ts';
import type { Mesh } from './machine.ts';
import { readMeshFile } from './mesh-file.ts';
import { meshPolicy } from './mesh-policy.ts';
import { presetMesh } from './meshes.ts';
import { nixPolicy, tunedNixPolicy } from './nix-policy.ts';
import { Random } from './random.ts';
import type { Outcome, Policy, Scenario } from './scenario.ts';
import { type Summary, summarise } from './summary.ts';
import { makeWorkload, type WorkloadOptions } from './workload.ts';

export const POLICIES: Readonly<Record<string, Policy>> = {
  mesh: meshPolicy,
  nix: nixPolicy,
  'nix-tuned': tunedNixPolicy,
};

/** Conditions of a run besides its graph, mesh and policy. */
export interface Conditions {
  readonly workload: WorkloadOptions;
  readonly faults: FaultOptions;
  readonly speedError: number;
  readonly memory: boolean;
  readonly heartbeatMs: number | undefined;
}

/** Heartbeats of real agents. */
const HEARTBEAT_MS = 3_000;

/** Folder of the recorded graphs. */
const RECORDED = join(import.meta.dirname, '../../../test/dags');

/**
 * A graph by the name of a recorded one, a shape and size, or a file.
 * @throws {SimulatorError} SIMULATOR_GRAPH
 */
export function loadGraph(name: string, seed: number): BuildGraph {
  const generated = generateGraph(name, seed);
  if (generated !== undefined) return generated;
  const recorded = join(RECORDED, `${name}.json.gz`);
  if (/^[a-z0-9-]+$/.test(name) && existsSync(recorded)) return readGraphFile(recorded);
  if (!/\.json(\.gz)?$/.test(name))
    throw new SimulatorError(
      'SIMULATOR_GRAPH',
      `There is no graph "${name}": give one of test/dags, a .json or .json.gz file, or ${SHAPE_NAMES.join(':N, ')}:N.`,
    );
  return readGraphFile(name);
}

/**
 * A mesh by the name of a preset, or a file.
 * @throws {SimulatorError} SIMULATOR_MESH
 */
export function loadMesh(name: string, graph: BuildGraph): Mesh {
  if (name.endsWith('.json')) return readMeshFile(name);
  return presetMesh(name, systemsOf(graph));
}

/** Everything that happens in one run is drawn from its seed. */
export function makeScenario(graph: BuildGraph, mesh: Mesh, conditions: Conditions, seed: number): Scenario {
  const { homes } = conditions.workload;
  if (homes > mesh.machines.length)
    throw new SimulatorError(
      'SIMULATOR_USAGE',
      `--homes ${homes} is more than the ${mesh.machines.length} machines of ${mesh.name}.`,
    );
  const random = new Random(seed);
  const workload = makeWorkload(graph, conditions.workload, random.split('workload'));
  const boundMs = boundOf(workload, mesh);
  const quiet = conditions.faults.deaths === 0;
  return {
    mesh,
    workload,
    boundMs,
    faults: drawFaults(conditions.faults, mesh.machines.length, homes, boundMs, random.split('faults')),
    random: random.split('beliefs'),
    speedError: conditions.speedError,
    limitMemory: conditions.memory,
    heartbeatMs: conditions.heartbeatMs ?? (quiet ? QUIET_HEARTBEAT_MS : HEARTBEAT_MS),
  };
}

/** @throws {SimulatorError} SIMULATOR_STUCK, SIMULATOR_BROKEN */
export function simulate(scenario: Scenario, policy: string): Outcome {
  const play = POLICIES[policy];
  if (play === undefined)
    throw new SimulatorError(
      'SIMULATOR_USAGE',
      `There is no policy "${policy}"; there are ${Object.keys(POLICIES).join(', ')}.`,
    );
  return play(scenario);
}

export interface Repetition {
  readonly graph: BuildGraph;
  readonly mesh: Mesh;
  readonly policy: string;
  readonly conditions: Conditions;
  readonly seeds: number;
  readonly firstSeed: number;
}

/**
 * The same experiment with different seeds; `onRun` sees each run whole.
 * @throws {SimulatorError} SIMULATOR_STUCK, SIMULATOR_BROKEN
 */
export function repeat(
  { graph, mesh, policy, conditions, seeds, firstSeed }: Repetition,
  onRun?: (scenario: Scenario, outcome: Outcome) => void,
): Summary {
  const began = performance.now();
  const outcomes: Omit<Outcome, 'spans'>[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const scenario = makeScenario(graph, mesh, conditions, seed);
    const outcome = simulate(scenario, policy);
    onRun?.(scenario, outcome);
    const { spans, ...rest } = outcome;
    outcomes.push(rest);
  }
  const realSeconds = (performance.now() - began) / 1_000;
  const { history } = conditions.workload;
  return summarise({ graph: graph.name, mesh: mesh.name, policy, history, realSeconds }, outcomes);
}
