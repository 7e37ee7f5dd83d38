/** Where bytes come from: a member's peer id, or this machine's own substituters. */
export type Source = string;

/** The source that stands for all substituters of this machine together. */
export const UPSTREAM: Source = 'upstream';

/** How fast bytes come from where, as measured. */
export interface SourceRates {
  /** Bytes a millisecond a fetch from there may expect; a guess where nothing was measured yet. */
  rateOf(source: Source): number;
  /** Milliseconds until the first byte. */
  latencyOf(source: Source): number;
  /** So many bytes came from there in that time. */
  observed(source: Source, bytes: number, ms: number): void;
}

/** Smaller transfers tell of delays, not of the way. */
const MIN_TELLING_BYTES = 256 * 1024;
/** The newest transfer counts this much, the first like one of two: a guess stands for the other. */
const NEWEST_SHARE = 0.25;
/** One transfer moves a rate by this factor at most: it may have met other traffic, a busy disk, or a cache. */
const LARGEST_STEP = Math.log(8);
/** Slower is no source, faster no machine has. */
const MIN_BYTES_PER_MS = 1;
const MAX_BYTES_PER_MS = 50_000_000;
/** Longer than this is a timeout, not a latency. */
const MAX_LATENCY_MS = 30_000;
/** Gigabit Ethernet for members, a home's line for substituters: where nothing was measured. */
const GUESSED_MEMBER_BYTES_PER_MS = 110_000;
const GUESSED_UPSTREAM_BYTES_PER_MS = 6_000;
const GUESSED_MEMBER_LATENCY_MS = 1;
const GUESSED_UPSTREAM_LATENCY_MS = 60;
/** Sources that are remembered. */
const MAX_SOURCES = 1_000;

interface Measured {
  lnRate: number;
  lnLatency: number;
  transfers: number;
  latencies: number;
}

/** What is kept of one source: [source, bytes a millisecond, milliseconds until the first byte, transfers, latencies]. */
export type SourceRecord = readonly [Source, number, number, number, number];

/** Moving averages of logarithms, so that one odd transfer does not decide. */
export class MeasuredSourceRates implements SourceRates {
  readonly #measured = new Map<Source, Measured>();
  readonly #onChange: () => void;

  /** @param onChange called whenever there is something new to keep */
  constructor(known: Iterable<SourceRecord> = [], onChange: () => void = () => undefined) {
    for (const [source, rate, latencyMs, transfers, latencies] of known) {
      const lnRate = Math.log(clamp(rate, MIN_BYTES_PER_MS, MAX_BYTES_PER_MS));
      this.#measured.set(source, { lnRate, lnLatency: lnOfLatency(latencyMs), transfers, latencies });
    }
    this.#onChange = onChange;
  }

  rateOf(source: Source): number {
    const measured = this.#measured.get(source);
    return measured === undefined ? guessedRate(source) : Math.exp(measured.lnRate);
  }

  latencyOf(source: Source): number {
    const measured = this.#measured.get(source);
    return measured === undefined ? guessedLatency(source) : Math.exp(measured.lnLatency);
  }

  /** Small and absurd transfers are ignored. */
  observed(source: Source, bytes: number, ms: number): void {
    if (!(bytes >= MIN_TELLING_BYTES && ms >= 0)) return;
    const rate = clamp(bytes / Math.max(1, ms), MIN_BYTES_PER_MS, MAX_BYTES_PER_MS);
    const measured = this.#take(source);
    measured.lnRate += step(Math.log(rate) - measured.lnRate, measured.transfers);
    measured.transfers += 1;
    this.#keep(source, measured);
  }

  /** The first byte came after that time. */
  answered(source: Source, ms: number): void {
    if (!(ms >= 0)) return;
    const measured = this.#take(source);
    measured.lnLatency += step(lnOfLatency(ms) - measured.lnLatency, measured.latencies);
    measured.latencies += 1;
    this.#keep(source, measured);
  }

  /** To be kept, the least recently used first. */
  records(): SourceRecord[] {
    return [...this.#measured].map(([source, { lnRate, lnLatency, transfers, latencies }]) => [
      source,
      Math.exp(lnRate),
      Math.exp(lnLatency),
      transfers,
      latencies,
    ]);
  }

  #take(source: Source): Measured {
    return (
      this.#measured.get(source) ?? {
        lnRate: Math.log(guessedRate(source)),
        lnLatency: lnOfLatency(guessedLatency(source)),
        transfers: 0,
        latencies: 0,
      }
    );
  }

  #keep(source: Source, measured: Measured): void {
    // Deleting first keeps the map in order of last use, oldest first.
    this.#measured.delete(source);
    this.#measured.set(source, measured);
    for (const [oldest] of this.#measured) {
      if (this.#measured.size <= MAX_SOURCES) break;
      this.#measured.delete(oldest);
    }
    this.#onChange();
  }
}

function step(difference: number, before: number): number {
  const share = Math.max(NEWEST_SHARE, 1 / (before + 2));
  return share * clamp(difference, -LARGEST_STEP, LARGEST_STEP);
}

function guessedRate(source: Source): number {
  return source === UPSTREAM ? GUESSED_UPSTREAM_BYTES_PER_MS : GUESSED_MEMBER_BYTES_PER_MS;
}

function guessedLatency(source: Source): number {
  return source === UPSTREAM ? GUESSED_UPSTREAM_LATENCY_MS : GUESSED_MEMBER_LATENCY_MS;
}

function lnOfLatency(ms: number): number {
  return Math.log(clamp(ms, 0.01, MAX_LATENCY_MS));
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
