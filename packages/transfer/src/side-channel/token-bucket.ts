/** Tokens are let run up for this long: a limit is kept over any second, yet a small answer need not wait. */
const BURST_MS = 125;

/** Bytes that may be sent, gathered at a steady rate. What is taken may go beyond what is there: the next taker waits it out. */
export class TokenBucket {
  readonly bytesPerS: number;
  #tokens: number;
  #atMs: number;

  /** @param bytesPerS above 0 */
  constructor(bytesPerS: number, nowMs: number) {
    this.bytesPerS = bytesPerS;
    this.#tokens = this.#most;
    this.#atMs = nowMs;
  }

  take(bytes: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#tokens -= bytes;
  }

  /** Milliseconds until something may be taken; 0 for now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens > 0 ? 0 : Math.ceil(((1 - this.#tokens) * 1_000) / this.bytesPerS);
  }

  get #most(): number {
    return (this.bytesPerS * BURST_MS) / 1_000;
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#most, this.#tokens + ((nowMs - this.#atMs) * this.bytesPerS) / 1_000);
    this.#atMs = nowMs;
  }
}
