import type { Derivation, HomeState, Lease, Step, WorkerRecord } from './home-state.ts';
import { unready } from './ready-queue.ts';
import type { JobId, RequestId } from './types.ts';

/** Leases a ready derivation to a worker, in answer to one of its requests (which the caller has taken out). */
export function grant(
  step: Step,
  derivation: Derivation,
  worker: WorkerRecord,
  request: RequestId,
  ahead: boolean,
  reason: string,
): Lease {
  const { state, now } = step;
  unready(state, derivation, 'leased');
  derivation.attempt++;
  const lease: Lease = {
    lease: `${state.incarnation}-${state.nextLease++}`,
    attempt: derivation.attempt,
    derivation,
    peerId: worker.info.peerId,
    ahead,
    deadline: now + state.leaseMs,
    startedAt: undefined,
    revokedFor: undefined,
  };
  derivation.lease = lease;
  state.leases.set(lease.lease, lease);
  worker.leases.set(lease.lease, lease);
  worker.spent.set(request, true);
  step.effects.push({
    type: 'grant',
    peerId: lease.peerId,
    request,
    lease: lease.lease,
    attempt: lease.attempt,
    drvPath: derivation.drvPath,
    ahead,
    deadline: lease.deadline,
    cores: 1,
    memoryBytes: derivation.node.history?.memoryPeakBytes ?? 0,
    expectedMs: derivation.predictedMs,
    race: false,
    reason,
    job: firstJob(state, derivation),
  });
  return lease;
}

/** Forgets a lease; whatever its worker says about it from now on is ignored. The derivation is left `waiting`. */
export function endLease(state: HomeState, lease: Lease): void {
  state.leases.delete(lease.lease);
  state.workers.get(lease.peerId)?.leases.delete(lease.lease);
  lease.derivation.lease = undefined;
  lease.derivation.status = 'waiting';
}

/** Forgets the derivation's lease, if it has one, and tells the worker to stop. */
export function cancelLease(step: Step, derivation: Derivation, reason: string): void {
  const { lease } = derivation;
  if (lease === undefined) return;
  endLease(step.state, lease);
  step.effects.push({
    type: 'cancel',
    peerId: lease.peerId,
    lease: lease.lease,
    attempt: lease.attempt,
    reason,
  });
}

function firstJob(state: HomeState, derivation: Derivation): JobId {
  if (derivation.jobs.size > 1) for (const id of state.jobs.keys()) if (derivation.jobs.has(id)) return id;
  for (const id of derivation.jobs) return id;
  throw new Error(`${derivation.drvPath} is leased for no job`);
}
