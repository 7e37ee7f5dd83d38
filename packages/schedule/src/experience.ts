import { claimedSpeed, spreadOf, workMs } from './estimates.ts';
import type { Experience, HomeState, Lease, Step, WorkerRecord } from './home-state.ts';
import type { BuildTimings } from './types.ts';

/** Standard errors by which builds must disagree with a claimed speed before it is doubted: luck alone goes less far. */
const SURE = 3;
/** Of the disagreement so much is still put down to luck then. */
const LUCK = 1;
/** Shorter builds tell more about overhead than about speed. */
const TELLING_MS = 200;
/** One build cannot say more than this, as a logarithm. */
const MOST_TOLD = 5;
/** Smaller changes of a machine's speed wait for this many builds. */
const TELLING_MOVE = 0.03;
const LEARN_EVERY = 16;
/** Factor by which reality may correct a claim at most. */
const MOST_CORRECTED = 64;

/** Takes in what a finished build tells about its machine, and about how parallel builds of this job are. */
export function learn(step: Step, lease: Lease, timings: BuildTimings | undefined): void {
  const { state, now } = step;
  const worker = state.workers.get(lease.peerId);
  const took = buildMs(timings) ?? (lease.startedAt === undefined ? undefined : now - lease.startedAt);
  if (worker === undefined || took === undefined) return;
  const { derivation } = lease;
  const nominal = workMs(derivation, lease.cores) / claimedSpeed(worker, derivation.node.system);
  if (took >= TELLING_MS) {
    // A prediction that may be off by a factor e tells a fifth of what a certain one does.
    const weight = 1 / (0.25 + spreadOf(derivation) ** 2);
    const told = Math.max(-MOST_TOLD, Math.min(MOST_TOLD, Math.log(took / Math.max(TELLING_MS, nominal))));
    for (const experience of [worker.experience, state.experience]) add(experience, told, weight);
    const moved = Math.abs(Math.log(correction(state, worker.experience) / worker.correction));
    // Everybody's figure moves a little with every build: that is caught up with now and then.
    state.unlearned++;
    if (moved > TELLING_MOVE || state.unlearned >= LEARN_EVERY) {
      state.speeds++;
      state.unlearned = 0;
    }
  }
  const cpuMs = timings?.cpuMs;
  if (cpuMs !== undefined && lease.cores > 1 && took >= TELLING_MS)
    add(state.parallelism, Math.log(Math.max(0.1, cpuMs / took)), 1);
}

/** A build that lost a race and had taken longer than its machine claims says at least that. */
export function learnFromLoss(step: Step, lease: Lease): void {
  const worker = step.state.workers.get(lease.peerId);
  if (worker === undefined || lease.startedAt === undefined) return;
  const { derivation } = lease;
  const nominal = workMs(derivation, lease.cores) / claimedSpeed(worker, derivation.node.system);
  if (step.now - lease.startedAt > nominal) learn(step, lease, undefined);
}

/** What a worker's claimed speed is to be multiplied with: below 1 where its builds take longer than others' compared to predictions. */
export function correctionOf(state: HomeState, worker: WorkerRecord): number {
  if (worker.correctedAt !== state.speeds) {
    const corrected = correction(state, worker.experience);
    if (corrected !== worker.correction) {
      // What runs there was expected of the speed it was believed to have.
      for (const lease of worker.leases.values()) lease.expectedMs *= worker.correction / corrected;
      worker.timetable = undefined;
    }
    worker.correction = corrected;
    worker.correctedAt = state.speeds;
  }
  return worker.correction;
}

function correction(state: HomeState, experience: Experience): number {
  // Predictions that are wrong for everybody say nothing about one machine: it is compared with the others.
  const others = state.experience.weight - experience.weight;
  if (experience.weight <= 0 || others <= 0) return 1;
  const difference = experience.sum / experience.weight - (state.experience.sum - experience.sum) / others;
  // A sample's weight is about the inverse of its variance, so this is the standard error of the difference.
  const error = Math.sqrt(1 / experience.weight + 1 / others);
  if (Math.abs(difference) < SURE * error) return 1;
  const beyondChance = Math.abs(difference) - LUCK * error;
  const factor = Math.exp(-Math.sign(difference) * beyondChance);
  return Math.max(1 / MOST_CORRECTED, Math.min(MOST_CORRECTED, factor));
}

function buildMs(timings: BuildTimings | undefined): number | undefined {
  const { startedMs, finishedMs } = timings ?? {};
  return startedMs === undefined || finishedMs === undefined ? undefined : finishedMs - startedMs;
}

function add(experience: Experience, value: number, weight: number): void {
  experience.weight += weight;
  experience.sum += value * weight;
}
