import type { MessagePort, Transferable, Worker } from 'node:worker_threads';
import { messageOf, TransferError, type TransferErrorCode } from './errors.ts';

/** What one end of a thread boundary can be asked: plain data in, plain data out. */
export type ThreadHandlers = Record<string, ThreadHandler>;

/** The argument is whatever the other end sent under this name: both ends are ours. */
type ThreadHandler = (
  argument: never,
  context: { signal: AbortSignal; notify: (note: unknown) => void },
) => Promise<unknown>;

/** How an error crosses: an error object would lose its class and its code. */
interface ThreadError {
  readonly code: string | undefined;
  readonly message: string;
  readonly peerId: string | undefined;
  readonly paths: readonly string[];
}

type ThreadMessage =
  | { readonly type: 'call'; readonly id: number; readonly name: string; readonly argument: unknown }
  | { readonly type: 'abort'; readonly id: number }
  | { readonly type: 'note'; readonly id: number; readonly note: unknown }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: ThreadError };

interface Pending {
  readonly done: PromiseWithResolvers<unknown>;
  readonly onNote: ((note: unknown) => void) | undefined;
}

/** Calls in both directions over the port between two threads, with aborts and notes about progress. */
export class ThreadCalls {
  readonly #port: MessagePort | Worker;
  readonly #handlers: ThreadHandlers;
  readonly #pending = new Map<number, Pending>();
  readonly #running = new Map<number, AbortController>();
  #nextId = 1;

  constructor(port: MessagePort | Worker, handlers: ThreadHandlers) {
    this.#port = port;
    this.#handlers = handlers;
    port.on('message', (message: ThreadMessage) => this.#take(message));
  }

  /** Calls of ours that have no answer yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Asks the other end. An abort makes it fail at once, and the other end is told. */
  async call<T>(
    name: string,
    argument: unknown,
    options: {
      signal?: AbortSignal | undefined;
      onNote?: (note: unknown) => void;
      /** What of the argument is handed over instead of copied. */
      transfer?: readonly Transferable[];
    } = {},
  ): Promise<T> {
    options.signal?.throwIfAborted();
    const id = this.#nextId++;
    const done = Promise.withResolvers<unknown>();
    this.#pending.set(id, { done, onNote: options.onNote });
    const abort = () => {
      this.#send({ type: 'abort', id });
      done.reject(options.signal?.reason);
    };
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      this.#send({ type: 'call', id, name, argument }, options.transfer);
      return (await done.promise) as T;
    } finally {
      options.signal?.removeEventListener('abort', abort);
      this.#pending.delete(id);
    }
  }

  /** The other end is gone: fails what waits for it, and gives up what it asked for. */
  end(error: Error): void {
    for (const { done } of this.#pending.values()) done.reject(error);
    for (const running of this.#running.values()) running.abort(error);
  }

  #take(message: ThreadMessage): void {
    switch (message.type) {
      case 'call':
        void this.#run(message.id, message.name, message.argument);
        return;
      case 'abort':
        this.#running.get(message.id)?.abort();
        return;
      case 'note':
        this.#pending.get(message.id)?.onNote?.(message.note);
        return;
      case 'result':
        this.#pending.get(message.id)?.done.resolve(message.value);
        return;
      case 'error':
        this.#pending.get(message.id)?.done.reject(unpack(message.error));
    }
  }

  async #run(id: number, name: string, argument: unknown): Promise<void> {
    const running = new AbortController();
    this.#running.set(id, running);
    const notify = (note: unknown) => this.#send({ type: 'note', id, note });
    try {
      const handler = this.#handlers[name];
      if (handler === undefined) throw new Error(`This thread cannot be asked for ${name}.`);
      this.#send({
        type: 'result',
        id,
        value: await handler(argument as never, { signal: running.signal, notify }),
      });
    } catch (error) {
      this.#send({ type: 'error', id, error: pack(error) });
    } finally {
      this.#running.delete(id);
    }
  }

  #send(message: ThreadMessage, transfer: readonly Transferable[] = []): void {
    this.#port.postMessage(message, transfer);
  }
}

function pack(error: unknown): ThreadError {
  const transfer = error instanceof TransferError ? error : undefined;
  return {
    code: transfer?.code,
    message: messageOf(error),
    peerId: transfer?.peerId,
    paths: transfer?.paths ?? [],
  };
}

function unpack({ code, message, peerId, paths }: ThreadError): Error {
  if (code === undefined) return new Error(message);
  return new TransferError(code as TransferErrorCode, message, {
    ...(peerId === undefined ? {} : { peerId }),
    ...(paths[0] === undefined ? {} : { path: paths[0], paths }),
  });
}
