import { HUNGRY_AFTER_MS, SATED_AFTER_MS } from './constants.ts';
import { type Step, type WorkerRecord, wakeAt } from './home-state.ts';
import { ableWorkers, firstOf } from './ready-queue.ts';
import type { PeerId } from './types.ts';

/** Tells a worker whether there is work here, when that is news to it. */
export function advertise(step: Step, peerId: PeerId, work: boolean): void {
  const { state } = step;
  if (state.advertisedTo.has(peerId) === work) return;
  const worker = state.workers.get(peerId);
  if (work) state.advertisedTo.add(peerId);
  else state.advertisedTo.delete(peerId);
  const weight = weightOf(step);
  if (worker !== undefined) {
    worker.appetite = work ? { hungry: false, weight, since: undefined } : undefined;
    worker.requestsDueSince = step.now;
    worker.timetable = undefined;
  }
  say(step, peerId, work, false, weight);
}

/**
 * Tells workers that withhold their slots, because another home has a better right to them, that something is ready
 * here; and when that is over. Both only once they have lasted.
 */
export function tellAppetites(step: Step): void {
  const { state, now } = step;
  if (state.advertisedTo.size === 0) return;
  const weight = weightOf(step);
  const waiting = [...state.classes.values()].filter((work) => firstOf(work) !== undefined);
  for (const worker of state.workers.values()) {
    const told = worker.appetite;
    if (told === undefined) continue;
    // A parked request is answered the moment something suits it: that slot is not withheld.
    const hungry = worker.free.length === 0 && waiting.some((work) => mayTake(step, worker, work));
    if (hungry === told.hungry && !(hungry && weight !== told.weight)) {
      if (told.since !== undefined) worker.appetite = { ...told, since: undefined };
      continue;
    }
    const since = told.since ?? now;
    if (told.since === undefined) worker.appetite = { ...told, since };
    const at = since + (hungry ? HUNGRY_AFTER_MS : SATED_AFTER_MS);
    if (now >= at) {
      worker.appetite = { hungry, weight, since: undefined };
      say(step, worker.info.peerId, true, hungry, weight);
    } else wakeAt(step, at);
  }
}

function mayTake(step: Step, worker: WorkerRecord, work: Parameters<typeof ableWorkers>[1]): boolean {
  ableWorkers(step.state, work);
  return work.ableSet.has(worker);
}

function say(step: Step, peerId: PeerId, work: boolean, hungry: boolean, weight: number): void {
  const sequence = step.state.nextAdvertisement++;
  step.effects.push({ type: 'advertise', peerId, work, hungry, weight, sequence });
}

function weightOf({ state }: Step): number {
  let weight = 0;
  for (const job of state.jobs.values()) weight += job.weight;
  return weight > 0 ? weight : 1;
}
