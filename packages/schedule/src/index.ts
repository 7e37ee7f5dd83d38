export { type BoundMachine, boundMachineOf } from './bound-machines.ts';
export { type ColdGuess, coldStart, type DerivationShape } from './cold-start.ts';
export * from './constants.ts';
export { type DelayCause, delayCauses, type JobDelays } from './delay-causes.ts';
export { dropOldest } from './drop-oldest.ts';
export { allows, eligible, type Need, offers, whyImpossible, whyNobodyChosen } from './eligibility.ts';
export { CycleError } from './errors.ts';
export { explainWaiting } from './explain.ts';
export { looseFamily, packageFamily } from './family.ts';
export { type FinishedBuild, type FinishedDerivation, type OccupiedSlot, workOf } from './finished-run.ts';
export { DerivationGraph, type Vertex } from './graph.ts';
export { stepHome } from './home.ts';
export { type HomeIdle, homeIdle } from './home-idle.ts';
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
export {
  criticalPath,
  type LowerBounds,
  lowerBoundMs,
  lowerBounds,
  type MeasuredDerivation,
} from './lower-bound.ts';
export { LOCAL, machine, selects } from './machine-selector.ts';
export { BuildPredictor, type Prediction } from './prediction.ts';
export { oneCoreMs, parallelShare, wallMsOn } from './prediction-cores.ts';
export { type BuildRecord, CLOCK_TOLERANCE_MS, isPlausible } from './prediction-record.ts';
export { SAMPLES_PER_KEY } from './prediction-samples.ts';
export { MachineSpeeds } from './speeds.ts';
export * from './types.ts';
export { type Gain, whatIf } from './what-if.ts';
export { stepWorker } from './worker.ts';
export * from './worker-protocol.ts';
export { unpromisedMemory } from './worker-slots.ts';
export { type HeldLease, initialWorker, type WorkerInit, type WorkerState } from './worker-state.ts';
