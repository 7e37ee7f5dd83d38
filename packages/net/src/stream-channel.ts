import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  FrameDecoder,
  type Schema,
  WireError,
} from '@mesh/wire';
import { pipe } from 'it-pipe';
import type { Channel } from './channel.ts';
import { READ_HIGH_WATER_BYTES } from './constants.ts';
import { codeOf, NetError, RemoteError } from './errors.ts';
import type { PressuredStream } from './stream.ts';

/** What a channel is made of. */
export interface StreamChannelInit<In> {
  peerId: string;
  stream: PressuredStream;
  maxFrameBytes: number;
  /** Schema of what the peer sends. */
  schema: Schema<In>;
  /** Told once when the peer sent something that is no message of the protocol. */
  onViolation: (error: WireError) => void;
}

interface Received<In> {
  envelope: Envelope<In>;
  /** Bytes of its frame, plus a little for being an object. */
  cost: number;
}

const MESSAGE_COST_BYTES = 64;

/** {@link Channel} over a stream of frames. Messages are decoded as they arrive, up to a limit; beyond it the peer has to wait. */
export class StreamChannel<Out, In> implements Channel<Out, In> {
  readonly peerId: string;
  readonly closed: Promise<void>;
  /** Resolves when the dialer said that its end is ready; rejects where it never does. Only for the side that was called. */
  readonly opened: Promise<void>;
  readonly #stream: PressuredStream;
  readonly #maxFrameBytes: number;
  readonly #gone = new AbortController();
  readonly #messages: { message: In; cost: number }[] = [];
  #unreadCost = 0;
  #remoteEnded = false;
  #discarding = false;
  #ended = false;
  /** Why reading cannot go on after the messages that are there. */
  #error: Error | undefined;
  #wakeReader: (() => void) | undefined;
  #wakePump: (() => void) | undefined;

  constructor(init: StreamChannelInit<In>) {
    this.peerId = init.peerId;
    this.#stream = init.stream;
    this.#maxFrameBytes = init.maxFrameBytes;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    const opening = Promise.withResolvers<void>();
    this.opened = opening.promise;
    // Not everybody waits for it.
    this.opened.catch(() => undefined);
    this.#stream.onGone((error) => {
      this.#gone.abort(error ?? closedError());
      opening.reject(error ?? closedError());
      resolve();
    });
    void this.#pump(init, opening.resolve);
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Says that this end, the dialer's, is ready: the first thing it does. */
  open(): void {
    // Should the stream be gone already, reading it says so.
    this.#stream.write(encodeEnvelope({ k: 'open' }, this.#maxFrameBytes)).catch(() => undefined);
  }

  async send(message: Out): Promise<void> {
    if (this.#ended) throw new Error('A message was sent on a channel after its end.');
    await this.#stream.write(encodeEnvelope({ k: 'm', b: message }, this.#maxFrameBytes));
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#stream.write(encodeEnvelope({ k: 'end' }, this.#maxFrameBytes));
    await this.#stream.closeWrite();
  }

  abort(error: Error): void {
    if (this.#gone.signal.aborted) return;
    this.#ended = true;
    this.#messages.length = 0;
    this.#error = error;
    this.#wakeBoth();
    const code = codeOf(error) ?? 'INTERNAL';
    const message = codeOf(error) === undefined ? 'The peer gave up after an internal error.' : error.message;
    // Said if there is room for it; a peer that is gone or does not read cannot be told, and that is fine.
    const farewell = encodeEnvelope({ k: 'err', code: code.slice(0, 64), message }, Infinity);
    this.#stream.write(farewell).catch(() => undefined);
    this.#stream.abort(error);
  }

  async receive(): Promise<In | undefined> {
    for (;;) {
      const next = this.#messages.shift();
      if (next !== undefined) {
        this.#unreadCost -= next.cost;
        if (this.#unreadCost <= READ_HIGH_WATER_BYTES) this.#wakeWaitingPump();
        return next.message;
      }
      if (this.#remoteEnded) return undefined;
      if (this.#error !== undefined) throw this.#error;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<In, void, undefined> {
    try {
      for (;;) {
        const message = await this.receive();
        if (message === undefined) return;
        yield message;
      }
    } finally {
      this.#discarding = true;
      this.#messages.length = 0;
      this.#unreadCost = 0;
      this.#wakeWaitingPump();
    }
  }

  async #pump(init: StreamChannelInit<In>, opened: () => void): Promise<void> {
    try {
      const received = pipe(
        init.stream,
        (source) => frames(source, init.maxFrameBytes),
        (source) => envelopes(source, init.schema),
      );
      for await (const { envelope, cost } of received) {
        if (envelope.k === 'open') {
          opened();
          continue;
        }
        if (envelope.k === 'err') throw new RemoteError(envelope.code, envelope.message);
        if (envelope.k === 'end') {
          this.#remoteEnded = true;
          this.#wake();
          return;
        }
        await this.#accept(envelope.b, cost);
      }
      throw closedError();
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      this.#fail(failure);
      if (failure instanceof WireError) {
        init.onViolation(failure);
        this.abort(failure);
      } else {
        this.#stream.abort(failure);
      }
    }
  }

  async #accept(message: In, cost: number): Promise<void> {
    if (this.#discarding) return;
    this.#messages.push({ message, cost });
    this.#unreadCost += cost;
    this.#wake();
    if (this.#unreadCost > READ_HIGH_WATER_BYTES) {
      await new Promise<void>((resolve) => {
        this.#wakePump = resolve;
      });
    }
  }

  #fail(error: Error): void {
    // What came first is the reason; the rest follows from it.
    if (this.#error === undefined && !this.#remoteEnded) this.#error = error;
    this.#wakeBoth();
  }

  #wakeBoth(): void {
    this.#wakeWaitingPump();
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }

  #wakeWaitingPump(): void {
    const wake = this.#wakePump;
    this.#wakePump = undefined;
    wake?.();
  }
}

async function* frames(source: AsyncIterable<Uint8Array>, maxFrameBytes: number): AsyncGenerator<Uint8Array> {
  const decoder = new FrameDecoder(maxFrameBytes);
  for await (const bytes of source) {
    decoder.push(bytes);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) yield frame;
  }
  if (decoder.bufferedBytes > 0)
    throw new WireError('WIRE_BAD_MESSAGE', 'A stream ended in the middle of a message.');
}

async function* envelopes<In>(
  source: AsyncIterable<Uint8Array>,
  schema: Schema<In>,
): AsyncGenerator<Received<In>> {
  for await (const frame of source) {
    yield { envelope: decodeEnvelope(schema, frame), cost: frame.length + MESSAGE_COST_BYTES };
  }
}

function closedError(): NetError {
  return new NetError('NET_CLOSED', 'The connection to the peer closed before the conversation ended.');
}
