export { boundOf } from './bounds.ts';
export { type BuildGraph, systemsOf } from './build-graph.ts';
export { SimulatorError } from './errors.ts';
export {
  type Conditions,
  loadGraph,
  loadMesh,
  makeScenario,
  POLICIES,
  type Repetition,
  repeat,
  simulate,
} from './experiment.ts';
export { type FaultOptions, NO_FAULTS } from './faults.ts';
export type { Machine, Mesh } from './machine.ts';
export { presetMesh } from './meshes.ts';
export { STOCK_NIX, TUNED_NIX } from './nix-policy.ts';
export type { NixCosts } from './nix-submitter.ts';
export { Random } from './random.ts';
export type { Outcome, Policy, Scenario } from './scenario.ts';
export type { Summary } from './summary.ts';
export {
  DEFAULT_WORKLOAD,
  makeWorkload,
  type Task,
  type Workload,
  type WorkloadOptions,
} from './workload.ts';
