import {
  type Derivation,
  type HomeState,
  type Lease,
  type ReadyEntry,
  type Step,
  type WorkClass,
  type WorkerRecord,
  wakeAt,
} from './home-state.ts';
import { refreshPriorities } from './jobs.ts';
import { grant } from './lease-table.ts';
import { better, type Candidate, withinBand } from './placement.ts';
import { ableWorkers, firstOf, moreUrgent, nearestTo } from './ready-queue.ts';

/**
 * Answers as many parked requests as it can: free slots first, then requests ahead with what is left; and asks
 * unstarted ahead leases back for slots that would idle.
 */
export function dispatch(step: Step): void {
  const { state } = step;
  let free = false;
  let ahead = false;
  for (const worker of state.workers.values()) {
    free ||= worker.free.length > 0;
    ahead ||= worker.ahead.length > 0;
  }
  if (!free && !ahead) return;
  if (state.ready > 0) {
    refreshPriorities(step, false);
    while (grantOne(step, takesNow, false));
    if (ahead) while (grantOne(step, takesAhead, true));
  }
  if (free) revokeForIdle(step);
}

/**
 * A slot waits. A worker that has a slot free as far as this home knows and has only an ahead request parked counts
 * for what has its inputs there: its next request is on the way, and a chain should not move meanwhile.
 */
function takesNow(worker: WorkerRecord, derivation: Derivation): boolean {
  if (worker.free.length > 0) return true;
  return (
    worker.ahead.length > 0 &&
    worker.leases.size < worker.info.slots &&
    derivation.local.has(worker.info.peerId)
  );
}

function takesAhead(worker: WorkerRecord): boolean {
  return worker.ahead.length > 0;
}

/** Leases the most urgent derivation that any worker takes to the best of those workers; false when there is none. */
function grantOne(
  step: Step,
  takes: (worker: WorkerRecord, derivation: Derivation) => boolean,
  ahead: boolean,
): boolean {
  const { state } = step;
  if (state.ready === 0) return false;
  let top: ReadyEntry | undefined;
  for (const work of state.classes.values()) {
    const first = firstOf(work);
    if (first === undefined || (top !== undefined && !moreUrgent(first, top))) continue;
    if (ableWorkers(state, work).some((worker) => takes(worker, first.derivation))) top = first;
  }
  if (top === undefined) return false;
  let best: WorkerRecord | undefined;
  let bestCandidate: Candidate | undefined;
  for (const worker of ableWorkers(state, top.derivation.work)) {
    if (!takes(worker, top.derivation)) continue;
    const candidate = candidateOf(step, worker, top.derivation, ahead);
    if (bestCandidate !== undefined && !better(candidate, bestCandidate)) continue;
    best = worker;
    bestCandidate = candidate;
  }
  if (best === undefined) return false;
  const near = bestCandidate!.missingBytes === 0 ? undefined : nearestTo(state, best);
  const chosen =
    near !== undefined && near !== top && withinBand(near.level, top.level) && takes(best, near.derivation)
      ? near
      : top;
  lease(step, best, chosen.derivation, top, ahead);
  return true;
}

function lease(
  step: Step,
  worker: WorkerRecord,
  derivation: Derivation,
  top: ReadyEntry,
  ahead: boolean,
): void {
  const reason = reasonFor(step.state, worker, derivation, top, ahead);
  const request = (!ahead && worker.free.length > 0 ? worker.free : worker.ahead).shift()!;
  const { deadline } = grant(step, derivation, worker, request, ahead, reason);
  wakeAt(step, deadline + step.state.graceMs);
}

function candidateOf(step: Step, worker: WorkerRecord, derivation: Derivation, ahead: boolean): Candidate {
  const { info, leases } = worker;
  return {
    missingBytes: derivation.localBytes - (derivation.local.get(info.peerId) ?? 0),
    load: leases.size / info.slots,
    freeInMs: ahead ? freeInMs(step.now, worker) : 0,
    isHome: info.isHome,
  };
}

/** When a slot is expected to be free for one more ahead lease, if builds take what was predicted. */
function freeInMs(now: number, worker: WorkerRecord): number {
  const remaining: number[] = [];
  for (const { startedAt, derivation } of worker.leases.values())
    remaining.push(Math.max(0, (startedAt ?? now) + derivation.predictedMs - now));
  if (remaining.length < worker.info.slots) return 0;
  remaining.sort((a, b) => a - b);
  return remaining[remaining.length - worker.info.slots]!;
}

function reasonFor(
  state: HomeState,
  worker: WorkerRecord,
  derivation: Derivation,
  top: ReadyEntry,
  ahead: boolean,
): string {
  const { info, leases } = worker;
  const level = seconds(derivation.bLevelMs);
  const place =
    derivation === top.derivation
      ? `the longest of ${state.ready} ready`
      : `within reach of the longest, ${seconds(top.level)}, of ${state.ready} ready`;
  const held = derivation.local.get(info.peerId) ?? 0;
  const inputs =
    derivation.localBytes === 0
      ? 'none of its inputs were built for this job'
      : `${info.name} holds ${held} of ${derivation.localBytes} bytes of its inputs`;
  const when = ahead ? 'fetches its inputs for the next free slot' : 'has a free slot';
  return `${level} of work hang on it, ${place}; ${inputs} and ${when} (${leases.size} leases, ${info.slots} slots).`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** For every slot that would idle: ask one unstarted ahead lease back that could start there, the most urgent first. */
function revokeForIdle(step: Step): void {
  const { state } = step;
  let waiting: Lease[] | undefined;
  for (const worker of state.workers.values()) {
    if (worker.free.length === 0) continue;
    waiting ??= aheadLeases(state);
    if (waiting.length === 0) return;
    const { peerId } = worker.info;
    let asked = waiting.filter((l) => l.revokedFor === peerId).length;
    for (const candidate of waiting) {
      if (asked >= worker.free.length) break;
      if (candidate.revokedFor !== undefined || candidate.peerId === peerId) continue;
      if (!canBuild(state, candidate.derivation.work, worker)) continue;
      candidate.revokedFor = peerId;
      asked++;
      step.effects.push({
        type: 'revoke',
        peerId: candidate.peerId,
        lease: candidate.lease,
        attempt: candidate.attempt,
      });
    }
  }
}

function aheadLeases(state: HomeState): Lease[] {
  const waiting: Lease[] = [];
  for (const lease of state.leases.values())
    if (lease.ahead && lease.startedAt === undefined) waiting.push(lease);
  return waiting.sort((a, b) => b.derivation.bLevelMs - a.derivation.bLevelMs);
}

function canBuild(state: HomeState, work: WorkClass, worker: WorkerRecord): boolean {
  return ableWorkers(state, work).includes(worker);
}
