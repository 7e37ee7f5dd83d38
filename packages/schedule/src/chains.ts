import { CHAIN_LINK_MS, CHAIN_MS, EQUAL_BYTES, MAX_CHAIN } from './constants.ts';
import { missingBytes, workMs } from './estimates.ts';
import type { Derivation, Lease, WorkerRecord } from './home-state.ts';
import { grant } from './lease-table.ts';
import type { Candidate } from './placement.ts';
import { ableWorkers, weighInputs } from './ready-queue.ts';
import { linkReason } from './reasons.ts';
import type { Round } from './round.ts';
import type { RequestId } from './types.ts';

/**
 * Sends the short derivations that follow one another after the leased one, and nothing else, along with it: they are
 * built in its slot without a word to the home in between.
 */
export function chain(
  round: Round,
  first: Lease,
  request: RequestId,
  worker: WorkerRecord,
  at: Candidate,
): void {
  let last = first;
  let totalMs = first.expectedMs;
  for (let links = 1; links < MAX_CHAIN; links++) {
    const next = successor(round, last, worker);
    if (next === undefined) return;
    const expectedMs = workMs(next, first.cores) / at.speed;
    totalMs += expectedMs;
    if (expectedMs > CHAIN_LINK_MS || totalMs > CHAIN_MS) return;
    last = grant(round.step, next, worker, {
      request,
      ahead: first.ahead,
      race: false,
      cores: first.cores,
      follows: last,
      fetchMs: 0,
      expectedMs,
      reason: linkReason(last.derivation, next, worker, expectedMs),
    });
  }
}

/** What only waits for this lease and alone does, if it may be built in the same place and is known to be short. */
function successor(
  round: Round,
  { derivation, expectedMs }: Lease,
  worker: WorkerRecord,
): Derivation | undefined {
  if (expectedMs > CHAIN_LINK_MS || !isKnown(derivation) || derivation.dependants.length !== 1)
    return undefined;
  const [next] = derivation.dependants;
  if (next === undefined || next.status !== 'waiting' || next.blockers !== 1 || !isKnown(next))
    return undefined;
  if (next.work.job !== derivation.work.job || next.alone) return undefined;
  if (derivation.node.unresolved || next.node.unresolved) return undefined;
  if (next.work.policies.some(({ prefer }) => prefer !== undefined)) return undefined;
  if (!next.claim.settled || next.claim.deferredTo !== undefined) return undefined;
  ableWorkers(round.step.state, next.work);
  if (!next.work.ableSet.has(worker)) return undefined;
  weighInputs(next);
  return missingBytes(next, worker) <= EQUAL_BYTES ? next : undefined;
}

function isKnown({ node }: Derivation): boolean {
  return node.history !== undefined && node.history.basis !== 'cold';
}
