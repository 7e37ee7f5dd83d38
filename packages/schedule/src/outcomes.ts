import { advertise } from './appetite.ts';
import type { DerivationOutcome } from './home-protocol.ts';
import { type Derivation, isFinished, type Job, type Step } from './home-state.ts';
import { cancelLease } from './lease-table.ts';
import { claimAll, endClaim } from './ownership.ts';
import { classFor, consider, enterClass, leaveClass, reclass, unready } from './ready-queue.ts';
import type { PeerId } from './types.ts';

type Failure = Extract<DerivationOutcome, { type: 'failed' }>;

/** The outputs exist at `holders`, by whatever way: what needed them may become ready, jobs may be done. */
export function succeed(
  step: Step,
  derivation: Derivation,
  outcome: Exclude<DerivationOutcome, Failure>,
  holders: readonly PeerId[],
): void {
  for (const holder of holders) derivation.holders.add(holder);
  finish(step, derivation, 'built', outcome);
  for (const dependant of derivation.dependants) {
    dependant.blockers--;
    consider(step, dependant);
  }
  endDoneJobs(step, derivation);
}

/** It will never be built here: what needs it is skipped, and jobs that do not keep going end. */
export function fail(step: Step, derivation: Derivation, outcome: Failure): void {
  if (outcome.kind === 'impossible')
    for (const job of derivation.jobs)
      step.effects.push({ type: 'impossible', drvPath: derivation.drvPath, job, message: outcome.message });
  finish(step, derivation, 'failed', outcome);
  skipDependants(step, derivation);
  endDoneJobs(step, derivation);
}

/** Everything that needs this one, at any distance, is skipped. */
export function skipDependants(step: Step, derivation: Derivation): void {
  const queue = [...derivation.dependants];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (isFinished(next)) continue;
    finish(step, next, 'skipped', undefined);
    queue.push(...next.dependants);
  }
}

function finish(
  step: Step,
  derivation: Derivation,
  status: 'built' | 'failed' | 'skipped',
  outcome: DerivationOutcome | undefined,
): void {
  const { state, effects } = step;
  const reason = status === 'built' ? 'its outputs exist already' : 'it cannot succeed any more';
  for (const lease of [...derivation.leases]) cancelLease(step, lease, reason);
  if (derivation.status === 'ready') unready(state, derivation, status);
  derivation.status = status;
  derivation.outcome = outcome;
  leaveClass(state, derivation);
  endClaim(
    step,
    derivation,
    status === 'built' ? { type: 'built', holders: [...derivation.holders] } : { type: 'gone' },
  );
  if (outcome !== undefined)
    effects.push({
      type: 'derivation-finished',
      drvPath: derivation.drvPath,
      jobs: [...derivation.jobs],
      outcome,
    });
  for (const id of derivation.jobs) {
    const job = state.jobs.get(id)!;
    job.remaining--;
    if (status === 'failed') job.failed.push(derivation.drvPath);
    if (status === 'skipped') job.skipped.push(derivation.drvPath);
  }
}

function endDoneJobs(step: Step, derivation: Derivation): void {
  for (const id of [...derivation.jobs]) {
    const job = step.state.jobs.get(id);
    if (job !== undefined) endIfDone(step, job);
  }
}

/** Ends a job that has nothing left to do, or that stops at its first failure. */
export function endIfDone(step: Step, job: Job): void {
  const stopped = job.failed.length > 0 && !job.options.keepGoing;
  if (stopped || (job.sealed && job.remaining === 0)) endJob(step, job, false);
}

/** Ends a job: what no other job wants is cancelled and forgotten. */
export function endJob(step: Step, job: Job, cancelled: boolean): void {
  const { state, effects } = step;
  const skipped = [...job.skipped];
  for (const derivation of job.derivations) if (!isFinished(derivation)) skipped.push(derivation.drvPath);
  state.jobs.delete(job.job);
  const gone = new Set<Derivation>();
  for (const derivation of job.derivations) {
    derivation.jobs.delete(job.job);
    if (derivation.jobs.size > 0) {
      if (!isFinished(derivation)) reclass(step, derivation);
      continue;
    }
    gone.add(derivation);
    if (isFinished(derivation)) continue;
    const reason = cancelled ? 'its job was cancelled' : 'its job has failed';
    for (const lease of [...derivation.leases]) cancelLease(step, lease, reason);
    if (derivation.status === 'ready') unready(state, derivation, 'skipped');
    derivation.status = 'skipped';
    leaveClass(state, derivation);
    endClaim(step, derivation, { type: 'gone' });
  }
  state.graph.removeAll(gone);
  effects.push({
    type: 'job-finished',
    job: job.job,
    ok: !cancelled && job.failed.length === 0,
    cancelled,
    failed: [...job.failed],
    skipped,
  });
  if (state.jobs.size > 0) return;
  for (const peerId of [...state.advertisedTo]) advertise(step, peerId, false);
}

/**
 * Nobody has the outputs any more: if something still needs them they are built again, and so is what that needs in
 * turn and is lost as well.
 */
export function rebuildIfNeeded(step: Step, derivation: Derivation): void {
  const lost: Derivation[] = [];
  const queue = [derivation];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (next.status !== 'built' || next.holders.size > 0 || !isNeeded(next)) continue;
    next.status = 'waiting';
    next.outcome = undefined;
    next.work = classFor(step, next.node, next.jobs, next.avoid, next.failures);
    enterClass(next, next.work);
    step.state.recentlyBuilt.delete(next.drvPath);
    for (const id of next.jobs) step.state.jobs.get(id)!.remaining++;
    step.effects.push({ type: 'derivation-lost', drvPath: next.drvPath, jobs: [...next.jobs] });
    lost.push(next);
    queue.push(...next.dependencies);
    for (const dependant of next.dependants) {
      dependant.blockers++;
      consider(step, dependant);
    }
  }
  claimAll(step, lost);
}

function isNeeded(derivation: Derivation): boolean {
  if (derivation.jobs.size === 0) return false;
  return derivation.dependants.length === 0 || derivation.dependants.some((d) => !isFinished(d));
}
