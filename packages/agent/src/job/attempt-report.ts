import type { AttemptReport } from '@mesh/wire';
import type { Attempt } from './timeline.ts';

/** An attempt as reports and explanations show it. */
export function attemptReport(attempt: Attempt, nameOf: (peerId: string) => string): AttemptReport {
  const { race, cores, expectedMs, leasedMs, fetchedMs, startedMs, endedMs, outcome, detail } = attempt;
  return {
    peer: nameOf(attempt.peerId),
    attempt: attempt.attempt,
    race,
    cores,
    expectedMs: Math.round(expectedMs),
    leasedMs,
    fetchedMs,
    startedMs,
    endedMs,
    outcome,
    why: attempt.reason,
    ...(detail === '' ? {} : { detail }),
  };
}
