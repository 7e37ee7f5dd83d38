import { DEFAULT_LINK_BYTES_PER_MS, dropOldest } from '@mesh/schedule';

/** Smaller fetches tell of delays, not of the link. */
const MIN_TELLING_BYTES = 1024 * 1024;
/** The newest fetch counts this much, the first like one of two: a guess stands for the other. */
const NEWEST_SHARE = 0.25;
/** One fetch moves a rate by this factor at most: it may have met other traffic, a busy disk, or a cache. */
const LARGEST_STEP = Math.log(8);
/** Slower is no link, faster no machine has. */
const MIN_BYTES_PER_MS = 1;
const MAX_BYTES_PER_MS = 50_000_000;
/** Members whose links are remembered. */
const MAX_LINKS = 1_000;
const DROPPED_AT_ONCE = 100;

interface Link {
  lnRate: number;
  fetches: number;
}

/**
 * How fast inputs reached each worker, bytes a millisecond: a moving average of logarithms over its larger fetches, whoever they came
 * from. Remembered for as long as the agent runs.
 */
export class LinkRates {
  readonly #links = new Map<string, Link>();

  /** A worker has brought inputs in. Small and absurd fetches are ignored. */
  fetched(peerId: string, bytes: number, fetchMs: number): void {
    if (!(bytes >= MIN_TELLING_BYTES && fetchMs >= 0)) return;
    const rate = Math.min(MAX_BYTES_PER_MS, Math.max(MIN_BYTES_PER_MS, bytes / Math.max(1, fetchMs)));
    const link = this.#links.get(peerId) ?? { lnRate: Math.log(DEFAULT_LINK_BYTES_PER_MS), fetches: 0 };
    const step = Math.log(rate) - link.lnRate;
    const share = Math.max(NEWEST_SHARE, 1 / (link.fetches + 2));
    link.lnRate += share * Math.min(LARGEST_STEP, Math.max(-LARGEST_STEP, step));
    link.fetches += 1;
    // Deleting first keeps the map in order of last use, oldest first.
    this.#links.delete(peerId);
    this.#links.set(peerId, link);
    if (this.#links.size > MAX_LINKS) dropOldest(this.#links, DROPPED_AT_ONCE);
  }

  /** Bytes a millisecond; undefined where nothing large was fetched yet. */
  rateOf(peerId: string): number | undefined {
    const link = this.#links.get(peerId);
    return link && Math.exp(link.lnRate);
  }
}
