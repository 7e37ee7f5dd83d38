import { chain } from './chains.ts';
import { EQUAL_END_SHARE, MAX_EXAMINED, MAX_EXAMINED_AHEAD, MAX_LOOKS } from './constants.ts';
import { spreadOf } from './estimates.ts';
import {
  type Derivation,
  type Lease,
  type ReadyEntry,
  type Step,
  type WorkClass,
  type WorkerRecord,
  wakeAt,
} from './home-state.ts';
import { type Claimant, compareClaims, JobShares } from './job-share.ts';
import { refreshPriorities } from './jobs.ts';
import { grant } from './lease-table.ts';
import { type Candidate, choose, isHarmless, pickFree, rankOf, takesNow, withinBand } from './placement.ts';
import { raceTail } from './racing.ts';
import { ableWorkers, firstOf, lastOf, moreUrgent, nearestTo } from './ready-queue.ts';
import { placementReason } from './reasons.ts';
import { Round } from './round.ts';
import { hasOpenSlot, REQUEST_UNDER_WAY_MS } from './timetable.ts';
import type { RequestId } from './types.ts';

/**
 * Answers as many parked requests as is wise: free slots by estimated finish, requests ahead for what waits for those
 * slots; asks unstarted ahead leases back where a slot would build them sooner; and lets what still idles race.
 */
export function dispatch(step: Step): void {
  const { state } = step;
  let free = false;
  let ahead = false;
  for (const worker of state.workers.values()) {
    free ||= hasOpenSlot(worker);
    ahead ||= worker.ahead.length > 0;
  }
  if (!free && !ahead) return;
  const round = new Round(step);
  if (state.ready > 0) {
    refreshPriorities(step, false);
    placeReady(round);
  }
  if (!free) return;
  revokeForIdle(round);
  raceTail(round);
}

/** The most urgent first; what had better wait for a busy slot has that slot promised, and waits. */
function placeReady(round: Round): void {
  const { state } = round.step;
  const examined: ReadyEntry[] = [];
  const deferred = new Set<WorkerRecord>();
  const shares = state.jobs.size > 1 ? new JobShares(state) : undefined;
  let ahead = 0;
  const most = Math.max(1, Math.min(MAX_EXAMINED, Math.floor(MAX_LOOKS / state.workers.size)));
  while (state.ready > 0 && examined.length < most && ahead < MAX_EXAMINED_AHEAD) {
    const top = nextEntry(round, shares);
    if (top === undefined) break;
    const waits = place(round, top, deferred);
    if (!waits) continue;
    if (!round.placesFor(top.derivation.work).workers.some(hasOpenSlot)) ahead++;
    examined.push(top);
    top.derivation.work.heap.pop();
  }
  if (examined.length >= most) fillFromBelow(round);
  for (const entry of examined) entry.derivation.work.heap.push(entry);
}

/** What has most time goes to slots that everything more urgent had better not wait in. */
function fillFromBelow(round: Round): void {
  const { state } = round.step;
  for (const work of state.classes.values()) {
    for (;;) {
      const entry = lastOf(work);
      if (entry === undefined || !round.placesFor(work).workers.some(hasOpenSlot)) break;
      const { derivation } = entry;
      const choice = choose(round, derivation);
      const at = pickFree(round, derivation, choice);
      if (at === undefined || !isHarmless(round, derivation, at, Math.exp(spreadOf(derivation)))) break;
      give(round, entry, entry, at, choice.bestBusy, false);
    }
  }
}

/** Of the jobs with the best right to a slot, the most urgent derivation that some waiting request could take. */
function nextEntry(round: Round, shares: JobShares | undefined): ReadyEntry | undefined {
  const { state } = round.step;
  let top: ReadyEntry | undefined;
  let topClaim: Claimant | undefined;
  for (const work of state.classes.values()) {
    const first = firstOf(work);
    if (first === undefined || !hasRequest(round, work)) continue;
    const claim = shares?.claimOf(work);
    const order = claim === undefined || topClaim === undefined ? 0 : compareClaims(claim, topClaim);
    if (top !== undefined && (order > 0 || (order === 0 && !moreUrgent(first, top)))) continue;
    top = first;
    topClaim = claim;
  }
  return top;
}

function hasRequest(round: Round, work: WorkClass): boolean {
  return round.placesFor(work).workers.some((worker) => hasOpenSlot(worker) || worker.ahead.length > 0);
}

/** Grants it, or one nearby in its stead, or promises it a slot; true when it has to wait. */
function place(round: Round, top: ReadyEntry, deferred: Set<WorkerRecord>): boolean {
  const { step } = round;
  const { derivation } = top;
  const choice = choose(round, derivation);
  const { bestFree, bestBusy } = choice;
  const waiting = bestBusy !== undefined && (bestFree === undefined || bestBusy.rank < bestFree.rank);
  if (
    bestFree !== undefined &&
    !(waiting && !isHarmless(round, derivation, bestFree, Math.exp(spreadOf(derivation))))
  ) {
    const pick = pickFree(round, derivation, choice)!;
    const near = pick.missingBytes === 0 ? undefined : nearestTo(step.state, pick.worker);
    const chosen =
      near !== undefined &&
      near !== top &&
      withinBand(near.level, top.level) &&
      takesNow(pick.worker, near.derivation)
        ? near
        : top;
    if (chosen === top) give(round, top, top, pick, bestBusy, false);
    else giveNear(round, chosen, top, pick);
    return false;
  }
  if (bestBusy === undefined) return true;
  const { worker } = bestBusy;
  if (derivation.alone) round.reserved.add(worker);
  else if (worker.ahead.length > 0) {
    give(round, top, top, bestBusy, bestFree, true);
    round.commit(worker, bestBusy.endAt);
    return false;
  } else if (!deferred.has(worker)) revokeLessUrgent(round, worker, derivation);
  deferred.add(worker);
  // Should the request it waits for not come, another look is due.
  if (bestBusy.startAt - step.now < REQUEST_UNDER_WAY_MS) wakeAt(step, step.now + REQUEST_UNDER_WAY_MS);
  round.commit(worker, bestBusy.endAt);
  return true;
}

function giveNear(round: Round, chosen: ReadyEntry, top: ReadyEntry, pick: Candidate): void {
  const own = choose(round, chosen.derivation).free.find(({ worker }) => worker === pick.worker);
  give(round, own === undefined ? top : chosen, top, own ?? pick, undefined, false);
}

function give(
  round: Round,
  entry: ReadyEntry,
  top: ReadyEntry,
  at: Candidate,
  other: Candidate | undefined,
  ahead: boolean,
): void {
  const { step } = round;
  const { worker } = at;
  const { derivation } = entry;
  const reason = placementReason(step.state, derivation, top, at, other, step.now, ahead);
  const request = takeRequest(worker, ahead);
  const { cores, fetchMs, expectedMs } = at;
  const lease = grant(step, derivation, worker, {
    request,
    ahead,
    race: false,
    cores,
    fetchMs,
    expectedMs,
    reason,
  });
  if (!ahead) round.commit(worker, at.endAt);
  chain(round, lease, request, worker, at);
}

function takeRequest(worker: WorkerRecord, ahead: boolean): RequestId {
  return (!ahead && hasOpenSlot(worker) ? worker.free : worker.ahead).shift()!;
}

/** Something more urgent is to have this worker's next slot than what was sent there ahead. */
function revokeLessUrgent(round: Round, worker: WorkerRecord, derivation: Derivation): void {
  for (const lease of worker.leases.values())
    if (
      isRevocable(lease) &&
      lease.derivation.bLevelMs < derivation.bLevelMs &&
      !withinBand(lease.derivation.bLevelMs, derivation.bLevelMs)
    ) {
      revoke(round, lease, worker);
      return;
    }
}

/** For every slot that would idle: ask one unstarted ahead lease back that would be built there sooner, the most urgent first. */
function revokeForIdle(round: Round): void {
  const { state } = round.step;
  let waiting: Lease[] | undefined;
  for (const worker of state.workers.values()) {
    if (!hasOpenSlot(worker)) continue;
    waiting ??= [...state.leases.values()]
      .filter((lease) => lease.ahead && lease.startedAt === undefined)
      .sort((a, b) => b.derivation.bLevelMs - a.derivation.bLevelMs);
    if (waiting.length === 0) return;
    let asked = waiting.filter((lease) => lease.revokedFor === worker.info.peerId).length;
    for (const lease of waiting) {
      if (asked >= worker.free.length) break;
      if (!isRevocable(lease) || lease.peerId === worker.info.peerId) continue;
      if (!endsSoonerAt(round, lease, worker)) continue;
      revoke(round, lease, worker);
      asked++;
    }
  }
}

function isRevocable(lease: Lease): boolean {
  return lease.ahead && lease.startedAt === undefined && lease.revokedFor === undefined;
}

function endsSoonerAt(round: Round, lease: Lease, worker: WorkerRecord): boolean {
  const { derivation } = lease;
  ableWorkers(round.step.state, derivation.work);
  if (!derivation.work.ableSet.has(worker)) return false;
  const here = choose(round, derivation).free.find((candidate) => candidate.worker === worker);
  const holder = round.step.state.workers.get(lease.peerId);
  if (here === undefined || holder === undefined) return false;
  const { now } = round.step;
  const end = round.aheadEnd(lease, holder);
  // By the same measure that sent it there, or it would be sent there again.
  const there = rankOf(derivation, holder, end - lease.expectedMs, end);
  return here.rank + EQUAL_END_SHARE * (here.endAt - now) < there;
}

function revoke(round: Round, lease: Lease, forWorker: WorkerRecord): void {
  lease.revokedFor = forWorker.info.peerId;
  round.step.effects.push({
    type: 'revoke',
    peerId: lease.peerId,
    lease: lease.lease,
    attempt: lease.attempt,
  });
}
