import { StringDecoder } from 'node:string_decoder';
import { MAX_LINES } from './constants.ts';
import { LabError } from './errors.ts';

/**
 * The lines of a process's output. Always drained, so that the process never waits for a reader; kept (up to a limit, the
 * oldest go first), so that every reader sees them from the start.
 */
export class LineStream implements AsyncIterable<string> {
  readonly #lines: string[] = [];
  #dropped = 0;
  #rest = '';
  #closed = false;
  #wake = Promise.withResolvers<void>();

  constructor(source: NodeJS.ReadableStream) {
    const decoder = new StringDecoder('utf8');
    source.on('data', (chunk: Buffer) => this.#add(decoder.write(chunk)));
    source.once('close', () => {
      this.#add(decoder.end());
      if (this.#rest !== '') this.#lines.push(this.#rest);
      this.#closed = true;
      this.#notify();
    });
  }

  /** All lines so far. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** All output so far as one text. */
  text(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    for (let next = 0; ; ) {
      if (next < this.#dropped) next = this.#dropped;
      const line = this.#lines[next - this.#dropped];
      if (line !== undefined) {
        next++;
        yield line;
      } else if (this.#closed) {
        return;
      } else {
        await this.#wake.promise;
      }
    }
  }

  /**
   * The first line, past or to come, that matches.
   * @throws {LabError} `LAB_TIMEOUT` when none came in time, or the output ended without one.
   */
  async waitFor(pattern: RegExp, timeoutMs = 30_000): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, 'late');
    });
    const lines = this[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await Promise.race([lines.next(), late]);
        if (next === 'late' || next.done === true) {
          const why = next === 'late' ? `within ${timeoutMs} ms` : 'before the output ended';
          const seen = this.#lines.slice(-20).join('\n');
          throw new LabError(
            'LAB_TIMEOUT',
            `No line matched ${pattern} ${why}. The last lines were:\n${seen}`,
          );
        }
        if (pattern.test(next.value)) return next.value;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #add(text: string): void {
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop() ?? '';
    if (parts.length === 0) return;
    for (const part of parts) this.#lines.push(part);
    const excess = this.#lines.length - MAX_LINES;
    if (excess > 0) {
      this.#lines.splice(0, excess);
      this.#dropped += excess;
    }
    this.#notify();
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}
