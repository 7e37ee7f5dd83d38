import { EQUAL_BYTES, PRIORITY_BAND_MS, PRIORITY_BAND_SHARE } from './constants.ts';

/** One worker that could take a derivation now. */
export interface Candidate {
  /** Bytes of the derivation's inputs, among those this job built, that it would have to fetch. */
  readonly missingBytes: number;
  /** Leases it holds from this home, over its slots. */
  readonly load: number;
  /** How long until a slot of it is expected to be free; 0 when one is. */
  readonly freeInMs: number;
  readonly isHome: boolean;
}

/** Slots that come free within this time of each other are equally good: predictions are no better. */
const EQUAL_FREE_MS = 100;

/**
 * Whether `a` is the better place than `b`: a slot sooner, fewer bytes to move (nothing to move beats everything, a
 * MiB more or less counts for nothing), less loaded, the home first.
 */
export function better(a: Candidate, b: Candidate): boolean {
  const free = Math.floor(a.freeInMs / EQUAL_FREE_MS) - Math.floor(b.freeInMs / EQUAL_FREE_MS);
  if (free !== 0) return free < 0;
  const bytes = transferClass(a.missingBytes) - transferClass(b.missingBytes);
  if (bytes !== 0) return bytes < 0;
  if (a.load !== b.load) return a.load < b.load;
  return a.isHome && !b.isHome;
}

function transferClass(missingBytes: number): number {
  return missingBytes === 0 ? 0 : 1 + Math.floor(missingBytes / EQUAL_BYTES);
}

/** Whether a derivation with this b-level is urgent enough to go before the most urgent one for its inputs' sake. */
export function withinBand(levelMs: number, topLevelMs: number): boolean {
  return topLevelMs - levelMs <= Math.max(PRIORITY_BAND_MS, topLevelMs * PRIORITY_BAND_SHARE);
}
