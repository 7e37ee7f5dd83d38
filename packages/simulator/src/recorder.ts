import { createHash } from 'node:crypto';

/** A build, whole or stopped, in virtual milliseconds. */
export interface Span {
  readonly machine: number;
  readonly task: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly cores: number;
  readonly attempt: number;
  readonly race: boolean;
  /** `cancelled`: stopped by its home. `lost`: its machine died. `out-of-memory`: killed. */
  readonly outcome: 'done' | 'cancelled' | 'lost' | 'out-of-memory';
  readonly why: string;
}

/** Collects what happened, and a hash of it: two runs with the same hash went the same way. */
export class Recorder {
  readonly spans: Span[] = [];
  readonly #hash = createHash('sha256');

  add(span: Span): void {
    this.spans.push(span);
    const { machine, task, startMs, endMs, cores, attempt, race, outcome } = span;
    this.#hash.update(`${machine} ${task} ${startMs} ${endMs} ${cores} ${attempt} ${race} ${outcome}\n`);
  }

  /** Sixteen hexadecimal digits; may be asked for once. */
  digest(): string {
    return this.#hash.digest('hex').slice(0, 16);
  }
}
