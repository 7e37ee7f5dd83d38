import type { HomeEffect } from '@mesh/schedule';
import type { LeaseInput, LeaseMessage } from '@mesh/wire';
import type { PlannedDerivation } from '../job/planner.ts';
import type { GivenLease } from '../job/timeline.ts';

type Grant = Extract<HomeEffect, { type: 'grant' }>;

/** What the home knows of a lease it gave out. */
export interface Granted extends GivenLease {
  /** As the worker tells them with its result. */
  buildMs: number;
  fetched: readonly { peer: string; bytes: number }[];
}

/** A worker that has less than this left of its lease could not even answer. */
const MIN_LEASE_MS = 100;

/** The leases a home has given out, and the messages that give them. */
export class Grants {
  readonly #granted = new Map<string, Granted>();

  /** Writes the lease down and says it as a message. `nowMs` is of the clock that made the grant's deadline. */
  give(grant: Grant, planned: PlannedDerivation, inputs: LeaseInput[], nowMs: number): LeaseMessage {
    const { lease, attempt, drvPath } = grant;
    this.#granted.set(lease, {
      ...givenLease(grant),
      buildMs: 0,
      fetched: [],
    });
    return {
      type: 'lease',
      lease,
      attempt,
      kind: 'derivation',
      request: grant.request,
      job: grant.job,
      drvPath,
      derivation: planned.bytes,
      inputs,
      method: planned.method,
      ahead: grant.ahead,
      cores: grant.cores,
      memoryBytes: grant.memoryBytes,
      outputBytes: planned.node.history?.outputBytes ?? 0,
      expectedMs: grant.expectedMs,
      race: grant.race,
      ...(grant.follows === undefined ? {} : { follows: grant.follows }),
      leaseMs: Math.max(MIN_LEASE_MS, grant.deadline - nowMs),
    };
  }

  of(lease: string): Granted | undefined {
    return this.#granted.get(lease);
  }

  /** The lease, if it was given to this worker: nobody speaks for another's. */
  heldBy(peerId: string, lease: string): Granted | undefined {
    const granted = this.#granted.get(lease);
    return granted?.peerId === peerId ? granted : undefined;
  }

  /** Leases this worker holds. */
  allOf(peerId: string): Granted[] {
    return [...this.#granted.values()].filter((granted) => granted.peerId === peerId);
  }

  end(lease: string): void {
    this.#granted.delete(lease);
  }

  clear(): void {
    this.#granted.clear();
  }
}

/** A grant as jobs remember it. */
export function givenLease(grant: Grant): GivenLease {
  const { lease, attempt, drvPath, peerId, race, cores, expectedMs, reason } = grant;
  const chained = grant.follows !== undefined;
  return { lease, attempt, drvPath, peerId, race, chained, cores, expectedMs, reason };
}
