import { AgentError } from './errors.ts';

/** The part of a channel that the work protocol uses: the same over the network and inside one process. */
export interface WorkChannel<Out, In> extends AsyncIterable<In> {
  send(message: Out): Promise<void>;
  end(): Promise<void>;
  /** Resolves when both sides have ended it, or it broke. */
  readonly closed: Promise<void>;
}

/**
 * Two ends of a channel inside one process: how a home speaks with its own worker, so that it is a worker like any other.
 * Messages are handed over in order on a later turn of the event loop, as the network would.
 */
export function memoryChannelPair<A, B>(): [WorkChannel<A, B>, WorkChannel<B, A>] {
  const toB = new MessageQueue<A>();
  const toA = new MessageQueue<B>();
  return [new MemoryChannel(toB, toA), new MemoryChannel(toA, toB)];
}

class MemoryChannel<Out, In> implements WorkChannel<Out, In> {
  readonly #out: MessageQueue<Out>;
  readonly #in: MessageQueue<In>;
  readonly closed: Promise<void>;

  constructor(out: MessageQueue<Out>, incoming: MessageQueue<In>) {
    this.#out = out;
    this.#in = incoming;
    this.closed = incoming.ended;
  }

  async send(message: Out): Promise<void> {
    this.#out.push(message);
  }

  async end(): Promise<void> {
    this.#out.end();
    this.#in.end();
  }

  [Symbol.asyncIterator](): AsyncIterator<In> {
    return this.#in[Symbol.asyncIterator]();
  }
}

/** A queue that is read by one `for await`; ends when told. */
export class MessageQueue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  readonly #ending = Promise.withResolvers<void>();

  /** Resolves when it was told to end. */
  get ended(): Promise<void> {
    return this.#ending.promise;
  }

  push(item: T): void {
    if (this.#ended) throw new AgentError('AGENT_STOPPING', 'This channel is closed; the agent is stopping.');
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#ending.resolve();
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#items.length > 0) yield this.#items.shift() as T;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
