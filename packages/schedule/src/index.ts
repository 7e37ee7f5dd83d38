export * from './constants.ts';
export { allows, eligible, type Need, offers, whyImpossible, whyNobodyChosen } from './eligibility.ts';
export { CycleError } from './errors.ts';
export { DerivationGraph, type Vertex } from './graph.ts';
export { stepHome } from './home.ts';
export * from './home-protocol.ts';
export {
  type Derivation,
  type DerivationStatus,
  type HomeInit,
  type HomeState,
  initialHome,
  type Job,
  type Lease,
} from './home-state.ts';
export { criticalPath, lowerBoundMs, type MeasuredDerivation } from './lower-bound.ts';
export { LOCAL, machine, selects } from './machine-selector.ts';
export * from './types.ts';
export { stepWorker } from './worker.ts';
export * from './worker-protocol.ts';
export { type HeldLease, initialWorker, type WorkerInit, type WorkerState } from './worker-state.ts';
