import type { Job } from '../job/job.ts';
import type { GivenLease } from '../job/timeline.ts';
import type { Grants } from './grants.ts';
import type { Runs } from './runs.ts';

/** Tells the jobs under way what becomes of the leases that this home has given out. */
export class LeaseNews {
  readonly #grants: Grants;
  readonly #runs: Runs;

  constructor(grants: Grants, runs: Runs) {
    this.#grants = grants;
    this.#runs = runs;
  }

  given(lease: GivenLease): void {
    for (const job of this.#runs.jobs()) job.leases.leased(lease);
  }

  /** A worker says something of a lease; of another's it has nothing to say. */
  each(peerId: string, lease: string, tell: (job: Job, lease: GivenLease) => void): void {
    const granted = this.#grants.heldBy(peerId, lease);
    if (granted === undefined) return;
    for (const job of this.#runs.jobs()) tell(job, granted);
  }

  /** A lease is over that brought no result. */
  ended(lease: string, outcome: 'revoked' | 'cancelled', detail: string): void {
    const granted = this.#grants.of(lease);
    if (granted === undefined) return;
    for (const job of this.#runs.jobs()) job.leases.leaseEnded(granted, outcome, detail);
    this.#grants.end(lease);
  }

  /** A machine failed: what it had goes elsewhere. */
  requeued(lease: string, message: string): void {
    const granted = this.#grants.of(lease);
    if (granted === undefined) return;
    for (const job of this.#runs.jobs()) job.leases.requeued(granted, message);
    this.#grants.end(lease);
  }
}
