import type { FinishedDerivation } from '@mesh/schedule';
import type { Timeline } from './timeline.ts';

/** What of a job is over, as the account of its time needs it. */
export function finishedRun(timelines: Iterable<Timeline>): FinishedDerivation[] {
  const run: FinishedDerivation[] = [];
  for (const timeline of timelines) {
    const { drvPath, dependencies, node, addedMs, finishedMs, winner, outcome } = timeline;
    if (finishedMs === null || outcome === 'skipped' || outcome === 'cancelled') continue;
    const startedMs = winner?.startedMs ?? finishedMs;
    run.push({
      drvPath,
      dependencies,
      system: node.system,
      requiredFeatures: node.requiredFeatures,
      place: node.place,
      addedMs,
      finishedMs,
      outputBytes: timeline.outputBytes,
      ...(winner === null
        ? {}
        : {
            build: {
              peerId: winner.peerId,
              leasedMs: winner.leasedMs,
              fetchedMs: winner.fetchedMs ?? startedMs,
              startedMs,
              durationMs: Math.min(timeline.buildMs, finishedMs - startedMs),
            },
          }),
      attempts: timeline.attempts.map(({ peerId, leasedMs, startedMs, endedMs, outcome }) => ({
        peerId,
        leasedMs,
        startedMs,
        endedMs: endedMs ?? finishedMs,
        failed: outcome === 'failed',
      })),
    });
  }
  return run;
}
