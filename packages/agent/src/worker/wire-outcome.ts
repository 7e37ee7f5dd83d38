import type { BuildOutcome } from '@mesh/schedule';
import type { LeaseOutcome } from '@mesh/wire';

/** How a build ended, as a message says it. */
export function wireOutcome(outcome: BuildOutcome): LeaseOutcome {
  switch (outcome.type) {
    case 'built':
      return { type: 'built', outputs: outcome.outputs.map((output) => ({ ...output })) };
    case 'failed':
      return { type: 'failed', message: outcome.message };
    case 'machine-failure':
      return outcome;
  }
}
