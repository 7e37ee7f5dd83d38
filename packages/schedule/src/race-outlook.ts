import { HICCUP_FACTOR, HICCUP_SHARE } from './constants.ts';
import { medianResidualMs, survival } from './residual.ts';

/** Trouble is less predictable than work. */
const TROUBLE_SPREAD = 0.5;
/** However alike earlier builds were: load, caches and clocks of a machine change what the next one takes by as much. */
const LEAST_SPREAD = 0.2;

/** What may become of a running build. */
export interface Outlook {
  /** How likely its machine has trouble with it, 0 to 1; else it is simply long. */
  readonly troubled: number;
  /** What is left of it, weighed by that. */
  readonly leftMs: number;
  /** What is left if it is simply long. */
  readonly leftIfLongMs: number;
}

/**
 * A build that has not ended yet is either longer than predicted, on any machine, or its machine has trouble: each is as
 * likely as it was for a build to get this far that way (Bayes' rule).
 */
export function outlook(elapsedMs: number, expectedMs: number, knownSpread: number): Outlook {
  const spread = Math.max(LEAST_SPREAD, knownSpread);
  const troubleMs = expectedMs * HICCUP_FACTOR;
  const long = (1 - HICCUP_SHARE) * survival(elapsedMs, expectedMs, spread);
  const trouble = HICCUP_SHARE * survival(elapsedMs, troubleMs, spread + TROUBLE_SPREAD);
  // Where both are too small for a number, trouble was the larger: it has the longer tail.
  const troubled = long === 0 ? 1 : trouble / (trouble + long);
  const leftIfLongMs = medianResidualMs(elapsedMs, expectedMs, spread);
  const leftInTroubleMs = medianResidualMs(elapsedMs, troubleMs, spread + TROUBLE_SPREAD);
  return {
    troubled,
    leftMs: troubled * leftInTroubleMs + (1 - troubled) * leftIfLongMs,
    leftIfLongMs,
  };
}
