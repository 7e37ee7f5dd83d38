import { MAX_WAITING_EVENTS } from './constants.ts';
import type { DaemonEvent } from './events.ts';
import type { Emit } from './messages.ts';

/**
 * One running operation: await it for its result, iterate it for what the daemon tells meanwhile.
 *
 * Iterate before awaiting: an operation that is awaited and not iterated drops its events. While it is iterated, a
 * slow reader makes the daemon wait. Iteration ends with the operation and throws its error; leaving it early drops
 * the remaining events. Awaiting works in every case.
 */
export class DaemonCall<T> implements PromiseLike<T>, AsyncIterable<DaemonEvent> {
  readonly #result: Promise<T>;
  #waiting: DaemonEvent[] = [];
  #dropping = false;
  #iterated = false;
  #done = false;
  #error: unknown;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(run: (emit: Emit) => Promise<T>) {
    this.#result = run((event) => this.#emit(event));
    this.#result.then(
      () => this.#finish(undefined),
      (error: unknown) => this.#finish(error),
    );
  }

  // biome-ignore lint/suspicious/noThenProperty: a call is meant to be awaited.
  then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (!this.#iterated) this.#drop();
    return this.#result.then(fulfilled, rejected);
  }

  [Symbol.asyncIterator](): AsyncGenerator<DaemonEvent, void, undefined> {
    this.#iterated = true;
    return this.#events();
  }

  async *#events(): AsyncGenerator<DaemonEvent, void, undefined> {
    try {
      for (;;) {
        const event = this.#waiting.shift();
        if (event !== undefined) {
          this.#wakeWriter?.();
          yield event;
        } else if (this.#done) {
          if (this.#error !== undefined) throw this.#error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
        }
      }
    } finally {
      this.#drop();
    }
  }

  #emit(event: DaemonEvent): Promise<void> | undefined {
    if (this.#dropping) return undefined;
    this.#waiting.push(event);
    this.#wakeReader?.();
    if (this.#waiting.length < MAX_WAITING_EVENTS) return undefined;
    return new Promise((resolve) => {
      this.#wakeWriter = resolve;
    });
  }

  #drop(): void {
    this.#dropping = true;
    this.#waiting = [];
    this.#wakeWriter?.();
  }

  #finish(error: unknown): void {
    this.#done = true;
    this.#error = error;
    this.#wakeReader?.();
  }
}
