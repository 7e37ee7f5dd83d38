import { missingBytes } from './estimates.ts';
import type { Derivation, HomeState, Lease, ReadyEntry, Step, WorkerRecord } from './home-state.ts';
import type { Candidate } from './placement.ts';

/** One sentence with the numbers a placement was decided by. */
export function placementReason(
  state: HomeState,
  derivation: Derivation,
  top: ReadyEntry,
  at: Candidate,
  other: Candidate | undefined,
  now: number,
  ahead: boolean,
): string {
  const { info } = at.worker;
  const urgency =
    derivation === top.derivation
      ? `the longest of ${state.ready} ready`
      : `within reach of the longest, ${seconds(top.level)}, of ${state.ready} ready`;
  const slot = ahead
    ? `a slot there is expected free in ${seconds(Math.max(0, at.startAt - now))}, its inputs go ahead`
    : 'a slot is free there';
  const against =
    other === undefined
      ? ''
      : `, against ${seconds(other.endAt - now)} on ${other.worker.info.name}${ahead ? '' : ', which is busy'}`;
  return `Ends on ${info.name} in ${seconds(at.endAt - now)}${against}: ${prediction(derivation)}, ${seconds(at.expectedMs)} at speed ${at.speed.toFixed(2)} with ${at.cores} core${at.cores === 1 ? '' : 's'}, ${inputs(derivation, at.worker)}, ${slot}; ${seconds(derivation.bLevelMs)} of work hang on it, ${urgency}.`;
}

export function linkReason(
  before: Derivation,
  derivation: Derivation,
  { info }: WorkerRecord,
  expectedMs: number,
): string {
  return `Follows ${before.node.name} in its slot on ${info.name}: ${prediction(derivation)}, ${seconds(expectedMs)} there, and needs nothing else that is not built yet.`;
}

export function raceReason(
  { state, now }: Step,
  lease: Lease,
  { info }: WorkerRecord,
  tookMs: number,
  gainMs: number,
): string {
  const holder = state.workers.get(lease.peerId)?.info.name ?? lease.peerId;
  const running = now - (lease.startedAt ?? now);
  return `Races ${holder}, where it has run for ${seconds(running)} of the expected ${seconds(lease.expectedMs)}: ${info.name} has nothing else to do and should end in ${seconds(tookMs)}, ${seconds(gainMs)} sooner.`;
}

export function prediction({ node }: Derivation): string {
  const { history, predictedMs } = node;
  const builds = (count: number) => `${count} build${count === 1 ? '' : 's'}`;
  switch (history?.basis) {
    case 'name':
      return `predicted ${seconds(predictedMs)} from ${builds(history.samples)} of this name`;
    case 'family':
      return `predicted ${seconds(predictedMs)} from ${builds(history.samples)} like it`;
    default:
      return `predicted ${seconds(predictedMs)}, never seen before`;
  }
}

function inputs(derivation: Derivation, worker: WorkerRecord): string {
  if (derivation.localBytes === 0) return 'none of its inputs were built for this job';
  const missing = missingBytes(derivation, worker);
  return `${missing} of ${derivation.localBytes} bytes of its inputs to fetch`;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
