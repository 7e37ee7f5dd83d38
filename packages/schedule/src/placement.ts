import {
  CRUMB_MS,
  EQUAL_BYTES,
  EQUAL_END_MS,
  EQUAL_END_SHARE,
  PREFERENCE,
  PRIORITY_BAND_MS,
  PRIORITY_BAND_SHARE,
} from './constants.ts';
import { coresAt, coresWish } from './cores.ts';
import { fetchMs, isCrumb, missingBytes, spreadOf, usableCores, workMs } from './estimates.ts';
import type { Derivation, Step, WorkerRecord } from './home-state.ts';
import { selects } from './machine-selector.ts';
import { roomyAmong } from './memory-room.ts';
import type { Round } from './round.ts';
import { coresOf, hasOpenSlot } from './timetable.ts';

/** Machines this close to the fastest are as good. */
const FASTEST = 0.9;
/** Share of their slots kept for what is urgent. */
const RESERVE = 0.125;

/** One worker that could build a derivation, and when that would be over there. */
export interface Candidate {
  readonly worker: WorkerRecord;
  readonly speed: number;
  readonly missingBytes: number;
  readonly fetchMs: number;
  readonly expectedMs: number;
  readonly cores: number;
  /** When it could start, by the home's clock. */
  readonly startAt: number;
  readonly endAt: number;
  /** What `endAt` counts as, with the job's preference and the derivation's nature taken in. */
  readonly rank: number;
}

/** Where a derivation ends soonest among free slots, and where if it waits. */
export interface Choice {
  readonly free: readonly Candidate[];
  readonly bestFree: Candidate | undefined;
  /** The best of the busy ones; looked for only where it could matter. */
  readonly bestBusy: Candidate | undefined;
}

/**
 * A slot waits. A worker that has a slot free as far as this home knows and has only an ahead request parked counts
 * for what has its inputs there: its next request is on the way, and a chain should not move meanwhile.
 */
export function takesNow(worker: WorkerRecord, derivation: Derivation): boolean {
  if (hasOpenSlot(worker)) return true;
  return (
    worker.ahead.length > 0 &&
    worker.slotsTaken < worker.info.slots &&
    worker.coresTaken < coresOf(worker) &&
    derivation.local.has(worker.info.peerId)
  );
}

/** Looks at every worker that may have the derivation. */
export function choose(round: Round, derivation: Derivation): Choice {
  const { step } = round;
  const { work } = derivation;
  const free: Candidate[] = [];
  const { workers: able, speeds } = round.placesFor(work);
  const isRoomy = roomyAmong(derivation, able);
  const wish = coresWish(round, derivation);
  let bestFree: Candidate | undefined;
  let busy = 0;
  for (let i = 0; i < able.length; i++) {
    const worker = able[i]!;
    if (isRoomy !== undefined && !isRoomy(worker)) continue;
    if (!isFree(round, derivation, worker)) {
      busy++;
      continue;
    }
    const candidate = candidateOf(round, derivation, worker, speeds[i]!, step.now, wish);
    free.push(candidate);
    if (bestFree === undefined || isBetter(candidate, bestFree, step.now)) bestFree = candidate;
  }
  let bestBusy: Candidate | undefined;
  if (busy > 0 && (bestFree === undefined || mayPayToWait(derivation, bestFree))) {
    for (let i = 0; i < able.length; i++) {
      const worker = able[i]!;
      const speed = speeds[i]!;
      if (isRoomy !== undefined && !isRoomy(worker)) continue;
      // Not even an empty slot there could be sooner.
      if (
        bestFree !== undefined &&
        !isPreferred(derivation, worker) &&
        speed * (bestFree.endAt - step.now) < derivation.node.predictedMs &&
        usableCores(derivation) === 1
      )
        continue;
      if (isFree(round, derivation, worker) || isShunned(step, derivation, worker)) continue;
      if (emulates(worker, derivation)) continue;
      const at = derivation.alone ? round.emptyAt(worker) : round.freeAt(worker);
      if (bestBusy !== undefined && isClearlyLater(derivation, at, speed, wish, bestBusy, step.now)) continue;
      const candidate = candidateOf(round, derivation, worker, speed, at, wish);
      if (bestBusy === undefined || isBetter(candidate, bestBusy, step.now)) bestBusy = candidate;
    }
  }
  return { free, bestFree, bestBusy };
}

/** Spares most of the busy ones a closer look: even with all inputs there and a preference it ends later. */
function isClearlyLater(
  { node, work }: Derivation,
  at: number,
  speed: number,
  wish: number,
  best: Candidate,
  now: number,
): boolean {
  if (wish > 1 || work.policies.some(({ prefer }) => prefer !== undefined)) return false;
  const endAt = at + node.predictedMs / speed;
  return endAt - best.rank > Math.max(EQUAL_END_MS, EQUAL_END_SHARE * (best.endAt - now));
}

/** Whether somewhere else could be enough better to wait for. */
function mayPayToWait(derivation: Derivation, best: Candidate): boolean {
  if (derivation.work.policies.some(({ prefer }) => prefer !== undefined)) return true;
  if (best.fetchMs > EQUAL_END_MS || isCrumb(derivation)) return true;
  return (
    best.speed * (1 + EQUAL_END_SHARE) < derivation.work.topSpeed ||
    (usableCores(derivation) ?? 1) > best.cores
  );
}

function isFree(round: Round, derivation: Derivation, worker: WorkerRecord): boolean {
  if (!takesNow(worker, derivation) || isShunned(round.step, derivation, worker)) return false;
  return !round.reserved.has(worker) && fitsNow(derivation, worker);
}

function candidateOf(
  round: Round,
  derivation: Derivation,
  worker: WorkerRecord,
  speed: number,
  at: number,
  wish: number,
): Candidate {
  const { now } = round.step;
  const cores = coresAt(worker, wish);
  const expectedMs = workMs(derivation, cores) / speed;
  const fetch = fetchMs(derivation, worker);
  // Inputs come while the slot is still taken.
  const startAt = Math.max(at, now + fetch);
  const endAt = startAt + expectedMs;
  const missing = missingBytes(derivation, worker);
  const rank = rankOf(derivation, worker, at, endAt);
  return { worker, speed, missingBytes: missing, fetchMs: fetch, expectedMs, cores, startAt, endAt, rank };
}

/** What an end counts as there, of a build that waits until `at`, with the job's preference and the derivation's nature taken in. */
export function rankOf(derivation: Derivation, worker: WorkerRecord, at: number, endAt: number): number {
  let rank = endAt;
  if (isCrumb(derivation) && isAway(derivation, worker)) rank += CRUMB_MS;
  if (isPreferred(derivation, worker)) rank -= PREFERENCE * (endAt - at);
  return rank;
}

function isPreferred({ work }: Derivation, { info }: WorkerRecord): boolean {
  return work.policies.some(({ prefer }) => prefer?.some((selector) => selects(selector, info)) ?? false);
}

/** Whether it would have to be carried there: sources are the home's, what the job built is where it was built. */
function isAway(derivation: Derivation, worker: WorkerRecord): boolean {
  return derivation.localBytes === 0 ? !worker.info.isHome : missingBytes(derivation, worker) > 0;
}

/**
 * Whether `a` is the better place than `b`: over sooner, else fewer bytes to move (a MiB more or less counts for
 * nothing), less loaded, the home first.
 */
export function isBetter(a: Candidate, b: Candidate, now: number): boolean {
  const equal = Math.max(EQUAL_END_MS, EQUAL_END_SHARE * (b.endAt - now));
  const sooner = a.rank - b.rank;
  if (Math.abs(sooner) > equal) return sooner < 0;
  const bytes = transferClass(a.missingBytes) - transferClass(b.missingBytes);
  if (bytes !== 0) return bytes < 0;
  const load = a.worker.leases.size / a.worker.info.slots - b.worker.leases.size / b.worker.info.slots;
  if (load !== 0) return load < 0;
  return a.worker.info.isHome && !b.worker.info.isHome;
}

function transferClass(missing: number): number {
  return missing === 0 ? 0 : 1 + Math.floor(missing / EQUAL_BYTES);
}

/** Memory for it is there, and a worker to itself where it needs one. */
function fitsNow(derivation: Derivation, worker: WorkerRecord): boolean {
  if (worker.leases.size === 0) return true;
  if (derivation.alone) return false;
  if (worker.aloneTaken > 0) return false;
  const { freeMemoryBytes } = worker.info;
  if (freeMemoryBytes === undefined) return true;
  return (derivation.node.history?.memoryPeakBytes ?? 0) <= freeMemoryBytes;
}

function isShunned(step: Step, derivation: Derivation, worker: WorkerRecord): boolean {
  if (derivation.shunned.size === 0) return false;
  const until = derivation.shunned.get(worker.info.peerId);
  return until !== undefined && until > step.now;
}

/** The longest work that waits for it, on the fastest machine for it. */
export function tailMs({ bLevelMs, predictedMs, work }: Derivation): number {
  return (bLevelMs - predictedMs) / Math.max(0.001, work.topSpeed);
}

/** Whether the job ends no later if the derivation is built there, its duration multiplied by `caution`. */
export function isHarmless(round: Round, derivation: Derivation, at: Candidate, caution: number): boolean {
  const { path, area } = round.jobEnd;
  const tail = tailMs(derivation);
  // Emulation is slow enough to be wrong by hours: only an end that is sooner speaks for it.
  if (emulates(at.worker, derivation)) return false;
  if (isCrumb(derivation) && isAway(derivation, at.worker)) return false;
  return at.startAt + at.expectedMs * caution + tail <= Math.max(path, area);
}

/**
 * The free place to take: where it ends soonest; but while the longest path, not the amount of work, decides when the
 * job ends, fast slots are left to that path by what has time, however wrong its prediction.
 */
export function pickFree(
  round: Round,
  derivation: Derivation,
  { free, bestFree }: Choice,
): Candidate | undefined {
  if (bestFree === undefined || free.length === 1) return bestFree;
  const { path, area } = round.jobEnd;
  if (path <= area) return bestFree;
  if (!isScarce(bestFree, derivation)) return bestFree;
  const caution = Math.exp(2 * spreadOf(derivation));
  let pick: Candidate | undefined;
  for (const candidate of free) {
    if (isScarce(candidate, derivation) || !isHarmless(round, derivation, candidate, caution)) continue;
    if (pick === undefined || isBetter(candidate, pick, round.step.now)) pick = candidate;
  }
  return pick ?? bestFree;
}

export function emulates({ info }: WorkerRecord, { work }: Derivation): boolean {
  return info.emulated?.[work.system] !== undefined;
}

/** One of the last free slots of a machine that is among the fastest for such work. */
function isScarce({ worker, speed }: Candidate, { work }: Derivation): boolean {
  return speed >= FASTEST * work.topSpeed && worker.free.length <= Math.ceil(RESERVE * worker.info.slots);
}

/** Whether a derivation with this b-level is urgent enough to go before the most urgent one for its inputs' sake. */
export function withinBand(levelMs: number, topLevelMs: number): boolean {
  return topLevelMs - levelMs <= Math.max(PRIORITY_BAND_MS, topLevelMs * PRIORITY_BAND_SHARE);
}
