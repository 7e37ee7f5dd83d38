import { advertise } from './appetite.ts';
import { MAX_PARKED_REQUESTS, REMEMBERED_IDS } from './constants.ts';
import { whyImpossible } from './eligibility.ts';
import { Heap } from './heap.ts';
import type { WorkerEvent } from './home-protocol.ts';
import { isFinished, type Step, type WorkClass, type WorkerRecord, wakeAt } from './home-state.ts';
import { loseLease } from './leases.ts';
import { fail, rebuildIfNeeded } from './outcomes.ts';
import { plausibleWorker } from './plausible.ts';
import { moreUrgent, noteImpossible } from './ready-queue.ts';
import { Recent } from './recent.ts';
import { coresOf } from './timetable.ts';
import type { PeerId, RequestId, WorkerInfo } from './types.ts';

/** Carries out what happens to a worker and its parked requests. */
export function handleWorker(step: Step, event: WorkerEvent): void {
  const { state } = step;
  switch (event.type) {
    case 'worker-up':
      workerUp(step, plausibleWorker(event.worker));
      break;
    case 'worker-down':
      workerDown(step, event.peerId);
      break;
    case 'steal': {
      const worker = state.workers.get(event.peerId);
      if (worker !== undefined) park(worker, event.request, event.ahead);
      break;
    }
    case 'unsteal': {
      const worker = state.workers.get(event.peerId);
      if (worker === undefined) break;
      worker.spent.set(event.request, true);
      remove(worker.free, event.request);
      remove(worker.ahead, event.request);
      worker.timetable = undefined;
      break;
    }
  }
}

function workerUp(step: Step, info: WorkerInfo): void {
  const { state } = step;
  const known = state.workers.get(info.peerId);
  if (known === undefined) {
    state.workers.set(info.peerId, {
      info,
      free: [],
      ahead: [],
      spent: new Recent(REMEMBERED_IDS),
      leases: new Map(),
      nearby: new Heap(moreUrgent),
      experience: { weight: 0, sum: 0 },
      slotsTaken: 0,
      coresTaken: 0,
      aloneTaken: 0,
      timetable: undefined,
      correction: 1,
      correctedAt: 0,
      requestsDueSince: step.now,
      appetite: undefined,
    });
    workersChanged(step);
  } else {
    const before = known.info;
    known.info = info;
    known.timetable = undefined;
    state.speeds++;
    if (abilityOf(before) !== abilityOf(info)) workersChanged(step);
  }
  if (state.jobs.size > 0) advertise(step, info.peerId, true);
}

function workerDown(step: Step, peerId: PeerId): void {
  const { state } = step;
  const worker = state.workers.get(peerId);
  if (worker === undefined) return;
  state.workers.delete(peerId);
  state.advertisedTo.delete(peerId);
  workersChanged(step);
  for (const lease of worker.leases.values())
    if (state.leases.has(lease.lease)) loseLease(step, lease, 'the connection to it was lost');
  forgetHolder(step, peerId);
}

/** A machine is gone, and with it the outputs only it had. The home's own store does not go away. */
export function forgetHolder(step: Step, peerId: PeerId): void {
  const { state } = step;
  if (peerId === state.self || state.workers.has(peerId) || state.homes.has(peerId)) return;
  const held = [...state.graph.vertices()].filter((derivation) => derivation.holders.delete(peerId));
  for (const derivation of held) if (derivation.jobs.size > 0) rebuildIfNeeded(step, derivation);
}

/** All of it that eligibility looks at. */
function abilityOf(info: WorkerInfo): string {
  const { name, systems, features, mandatoryFeatures, slots, cores, speed, tags, memoryBytes, emulated } =
    info;
  const figures = [slots > 0, cores, speed, tags, memoryBytes, emulated];
  return JSON.stringify([name, systems, features, mandatoryFeatures, figures]);
}

function workersChanged(step: Step): void {
  step.state.jobEnd = undefined;
  step.state.mostCores = 1;
  for (const worker of step.state.workers.values())
    step.state.mostCores = Math.max(step.state.mostCores, coresOf(worker));
  step.state.generation++;
  for (const work of step.state.classes.values()) noteImpossible(step, work);
}

function park(worker: WorkerRecord, request: RequestId, ahead: boolean): void {
  if (worker.spent.has(request) || worker.free.includes(request) || worker.ahead.includes(request)) return;
  if (worker.free.length + worker.ahead.length >= MAX_PARKED_REQUESTS) return;
  (ahead ? worker.ahead : worker.free).push(request);
  worker.timetable = undefined;
}

function remove(requests: RequestId[], request: RequestId): void {
  const index = requests.indexOf(request);
  if (index >= 0) requests.splice(index, 1);
}

/** Fails what no connected machine has been able to build for too long, unless another home builds it. */
export function failImpossible(step: Step): void {
  const { state, now } = step;
  const due = new Set<WorkClass>();
  for (const work of state.classes.values()) {
    if (work.impossibleSince === undefined) continue;
    const at = work.impossibleSince + state.impossibleAfterMs;
    if (at <= now) due.add(work);
    else wakeAt(step, at);
  }
  if (due.size === 0) return;
  const machines = [...state.workers.values()].map((worker) => worker.info);
  for (const derivation of [...state.graph.vertices()]) {
    const { claim, work } = derivation;
    if (isFinished(derivation) || derivation.status === 'leased' || !due.has(work)) continue;
    if (!claim.settled || claim.deferredTo !== undefined) continue;
    const message = whyImpossible(derivation.node.name, work, machines);
    fail(step, derivation, { type: 'failed', kind: 'impossible', message });
  }
}
