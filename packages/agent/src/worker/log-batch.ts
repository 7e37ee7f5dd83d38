import type { Clock, Timer } from '@mesh/net';
import { LOG_CHUNK_LINES, LOG_FLUSH_MS, MAX_LOG_LINE_CHARS } from '../constants.ts';

/**
 * Collects log lines for a short while, so that a chatty build costs a message for many lines. Sending pushes back: `add` waits while
 * a full chunk is on its way, which slows the build's own output and nothing else.
 */
export class LogBatch {
  readonly #clock: Clock;
  readonly #send: (lines: string[], phase: string | undefined) => Promise<void>;
  #lines: string[] = [];
  #phase: string | undefined;
  #timer: Timer | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(clock: Clock, send: (lines: string[], phase: string | undefined) => Promise<void>) {
    this.#clock = clock;
    this.#send = send;
  }

  async add(line: string): Promise<void> {
    this.#lines.push(line.slice(0, MAX_LOG_LINE_CHARS));
    if (this.#lines.length >= LOG_CHUNK_LINES) await this.flush();
    else this.#arm();
  }

  /** What follows belongs to it: lines and phases keep their order. */
  phase(phase: string): void {
    void this.flush();
    this.#phase = phase;
    this.#arm();
  }

  /** Sends what there is, after what was sent before. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const lines = this.#lines;
    const phase = this.#phase;
    this.#lines = [];
    this.#phase = undefined;
    if (lines.length > 0 || phase !== undefined)
      this.#sending = this.#sending.then(() => this.#send(lines, phase));
    return this.#sending;
  }

  #arm(): void {
    this.#timer ??= this.#clock.after(LOG_FLUSH_MS, () => void this.flush());
  }
}
