import type { Derivation, HomeState, Lease, Step, WorkerRecord } from './home-state.ts';
import { unready } from './ready-queue.ts';
import type { JobId, RequestId } from './types.ts';

/** What a lease is granted with, as placement decided. */
export interface GrantTerms {
  /** The worker's request it answers, taken out of its queue by the caller; a link of a chain repeats the first one's. */
  readonly request: RequestId;
  readonly ahead: boolean;
  readonly race: boolean;
  readonly cores: number;
  readonly follows?: Lease | undefined;
  readonly fetchMs: number;
  readonly expectedMs: number;
  readonly reason: string;
}

/** Leases a derivation to a worker: the first lease of a ready one, a second as a race, or a link of a chain. */
export function grant(step: Step, derivation: Derivation, worker: WorkerRecord, terms: GrantTerms): Lease {
  const { state, now } = step;
  const { request, follows } = terms;
  if (derivation.status === 'ready') unready(state, derivation, 'leased');
  else derivation.status = 'leased';
  derivation.attempt++;
  const lease: Lease = {
    lease: `${state.incarnation}-${state.nextLease++}`,
    attempt: derivation.attempt,
    derivation,
    job: derivation.work.job,
    peerId: worker.info.peerId,
    ahead: terms.ahead,
    race: terms.race,
    alone: derivation.alone,
    cores: terms.cores,
    follows,
    grantedAt: now,
    fetchMs: terms.fetchMs,
    expectedMs: terms.expectedMs,
    deadline: now + state.leaseMs,
    startedAt: undefined,
    revokedFor: undefined,
  };
  derivation.leases.push(lease);
  state.leases.set(lease.lease, lease);
  worker.leases.set(lease.lease, lease);
  take(worker, lease, 1);
  state.attempts++;
  worker.spent.set(request, true);
  charge(state, lease, 1);
  step.effects.push({
    type: 'grant',
    peerId: lease.peerId,
    request,
    lease: lease.lease,
    attempt: lease.attempt,
    drvPath: derivation.drvPath,
    ahead: lease.ahead,
    deadline: lease.deadline,
    cores: lease.cores,
    memoryBytes: derivation.node.history?.memoryPeakBytes ?? 0,
    expectedMs: lease.expectedMs,
    race: lease.race,
    ...(follows === undefined ? {} : { follows: follows.lease }),
    reason: terms.reason,
    job: firstJob(state, derivation),
  });
  return lease;
}

/**
 * Forgets a lease, and the links of a chain behind it; whatever a worker says about them from now on is ignored. A
 * derivation without another lease is left `waiting`.
 */
export function endLease(step: Step, lease: Lease): void {
  const { state, now } = step;
  const { derivation } = lease;
  if (!state.leases.delete(lease.lease)) return;
  charge(state, lease, -1);
  state.attempts++;
  const worker = state.workers.get(lease.peerId);
  if (worker !== undefined) {
    worker.leases.delete(lease.lease);
    take(worker, lease, -1);
    worker.requestsDueSince = now;
  }
  derivation.leases.splice(derivation.leases.indexOf(lease), 1);
  if (derivation.leases.length === 0) derivation.status = 'waiting';
}

/** Links of a chain that were to follow this lease. */
export function followersOf(state: HomeState, lease: Lease): Lease[] {
  const followers: Lease[] = [];
  for (const other of state.workers.get(lease.peerId)?.leases.values() ?? [])
    if (other.follows === lease) followers.push(other);
  return followers;
}

/** Forgets a lease and tells its worker to stop. */
export function cancelLease(step: Step, lease: Lease, reason: string): void {
  endLease(step, lease);
  step.effects.push({
    type: 'cancel',
    peerId: lease.peerId,
    lease: lease.lease,
    attempt: lease.attempt,
    reason,
  });
}

/** Counts what a lease takes of its worker, in or out. */
function take(worker: WorkerRecord, { follows, cores, alone }: Lease, by: 1 | -1): void {
  worker.timetable = undefined;
  if (follows !== undefined) return;
  worker.slotsTaken += by;
  worker.coresTaken += by * cores;
  if (alone) worker.aloneTaken += by;
}

/** Counts a slot for or against the job that is charged for it. */
function charge(state: HomeState, lease: Lease, by: 1 | -1): void {
  if (lease.follows !== undefined) return;
  const job = state.jobs.get(lease.job);
  if (job !== undefined) job.running += by;
}

function firstJob(state: HomeState, derivation: Derivation): JobId {
  if (derivation.jobs.size > 1) for (const id of state.jobs.keys()) if (derivation.jobs.has(id)) return id;
  for (const id of derivation.jobs) return id;
  throw new Error(`${derivation.drvPath} is leased for no job`);
}
