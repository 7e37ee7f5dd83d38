import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';
import {
  MAX_WAITING_WRITE_BYTES,
  READ_HIGH_WATER_BYTES,
  READ_LOW_WATER_BYTES,
  STREAM_CLOSE_TIMEOUT_MS,
  WRITE_HIGH_WATER_BYTES,
} from './constants.ts';
import { codeOf, NetError } from './errors.ts';

interface WaitingWrite {
  bytes: Uint8Array;
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * A libp2p stream that pushes back in both directions. libp2p 3's own helpers do not: its iterator reads without bound, `onDrain()`
 * resolves at once from its second call, `byteStream` kills a slow reader, and a `pause()` inside a 'message' handler is lost while
 * the stream resumes. So this layer listens to the stream's events itself: it counts unread bytes, pauses in a microtask of its own,
 * and lets writers in one by one as 'drain' and 'idle' say there is room.
 *
 * Iterating gives the bytes that arrive, once; it ends when the peer closed its writing side and throws when the stream broke.
 */
export class PressuredStream implements AsyncIterable<Uint8Array> {
  readonly #stream: Stream;
  readonly #chunks: Uint8Array[] = [];
  #unreadBytes = 0;
  #paused = false;
  #remoteClosedWrite = false;
  #aborted = false;
  #gone = false;
  #error: Error | undefined;
  #wakeReader: (() => void) | undefined;
  readonly #writes: WaitingWrite[] = [];
  #waitingBytes = 0;
  readonly #onGone: ((error: Error | undefined) => void)[] = [];

  constructor(stream: Stream) {
    this.#stream = stream;
    stream.addEventListener('message', (event) => this.#received(event));
    stream.addEventListener('remoteCloseWrite', () => this.#remoteEnded());
    stream.addEventListener('close', (event) => this.#closed(event));
    const flush = () => queueMicrotask(() => this.#flush());
    stream.addEventListener('drain', flush);
    stream.addEventListener('idle', flush);
    if (stream.status !== 'open') this.#finish(closedError());
    else if (stream.remoteWriteStatus === 'closed') this.#remoteClosedWrite = true;
  }

  /** Bytes that arrived and were not read, plus bytes written and not sent: what this stream holds in memory here. */
  get heldBytes(): number {
    return (
      this.#unreadBytes + this.#stream.readBufferLength + this.#stream.writeBufferLength + this.#waitingBytes
    );
  }

  /** Calls back once, when the stream is gone in both directions; with an error unless both sides closed it. */
  onGone(callback: (error: Error | undefined) => void): void {
    if (this.#gone) callback(this.#error);
    else this.#onGone.push(callback);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#unreadBytes -= chunk.length;
        this.#resumeIfRead();
        yield chunk;
        continue;
      }
      if (this.#remoteClosedWrite && this.#stream.readBufferLength === 0) return;
      if (this.#gone) throw this.#error ?? closedError();
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  /**
   * Resolves when the bytes were handed to the stream, which is when there was room for them. Writes keep their order.
   * @throws {NetError} `NET_CLOSED`; `NET_SLOW_PEER` where writers did not wait and too much piled up
   */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#gone) return Promise.reject(this.#error ?? closedError());
    if (this.#writes.length === 0 && this.#hasRoom()) {
      return this.#send(bytes);
    }
    if (this.#waitingBytes + bytes.length > MAX_WAITING_WRITE_BYTES) {
      const error = new NetError(
        'NET_SLOW_PEER',
        'A peer does not read what it is sent, so its stream was closed; it is tried again with the next request.',
      );
      this.abort(error);
      return Promise.reject(error);
    }
    this.#waitingBytes += bytes.length;
    return new Promise((resolve, reject) => this.#writes.push({ bytes, resolve, reject }));
  }

  /** Closes the writing side once everything written is on its way. Reading goes on. */
  async closeWrite(): Promise<void> {
    if (this.#writes.length > 0) await this.write(new Uint8Array(0));
    try {
      await this.#stream.close({ signal: AbortSignal.timeout(STREAM_CLOSE_TIMEOUT_MS) });
    } catch (error) {
      // Nobody took the last bytes in time, or the stream broke meanwhile: either way it is over.
      this.abort(error instanceof Error ? error : new Error(String(error)));
      throw this.#error ?? closedError();
    }
  }

  /** Ends the stream in both directions at once; unread and unsent bytes are dropped. */
  abort(error: Error): void {
    this.#aborted = true;
    this.#chunks.length = 0;
    this.#unreadBytes = 0;
    this.#finish(error);
    this.#stream.abort(error);
  }

  #received(event: StreamMessageEvent): void {
    if (this.#aborted) return;
    const { data } = event;
    const parts = data instanceof Uint8Array ? [data] : [...data];
    for (const part of parts) {
      if (part.length === 0) continue;
      this.#chunks.push(part);
      this.#unreadBytes += part.length;
    }
    this.#wake();
    // Not here and now: while the stream resumes, it overrides a pause made inside this event.
    if (this.#unreadBytes > READ_HIGH_WATER_BYTES) queueMicrotask(() => this.#pauseIfUnread());
  }

  #pauseIfUnread(): void {
    if (this.#paused || this.#unreadBytes <= READ_HIGH_WATER_BYTES) return;
    if (this.#stream.readStatus !== 'readable') return;
    this.#paused = true;
    this.#stream.pause();
  }

  #resumeIfRead(): void {
    if (!this.#paused || this.#unreadBytes > READ_LOW_WATER_BYTES) return;
    this.#paused = false;
    if (this.#stream.readStatus !== 'paused') return;
    try {
      this.#stream.resume();
    } catch (error) {
      // Resuming hands over what was buffered and then tells the peer; that fails once the connection is gone, which 'close' reports.
      if (codeOf(error) === undefined && !(error instanceof Error && error.name === 'StreamStateError'))
        throw error;
    }
  }

  #remoteEnded(): void {
    this.#remoteClosedWrite = true;
    this.#wake();
  }

  #closed(event: StreamCloseEvent): void {
    const graceful = event.error === undefined && this.#remoteClosedWrite;
    this.#finish(graceful ? undefined : closedError(event.error));
  }

  #finish(error: Error | undefined): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#error = error;
    for (const write of this.#writes.splice(0)) write.reject(error ?? closedError());
    this.#waitingBytes = 0;
    this.#wake();
    for (const callback of this.#onGone.splice(0)) callback(error);
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }

  #hasRoom(): boolean {
    return !this.#stream.writableNeedsDrain && this.#stream.writeBufferLength < WRITE_HIGH_WATER_BYTES;
  }

  #send(bytes: Uint8Array): Promise<void> {
    try {
      if (bytes.length > 0) this.#stream.send(bytes);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(closedError(error));
    }
  }

  #flush(): void {
    while (this.#writes.length > 0 && !this.#gone && this.#hasRoom()) {
      const { bytes, resolve, reject } = this.#writes.shift()!;
      this.#waitingBytes -= bytes.length;
      this.#send(bytes).then(resolve, reject);
    }
  }
}

function closedError(cause?: unknown): NetError {
  return new NetError('NET_CLOSED', 'The connection to the peer closed before the conversation ended.', {
    cause,
  });
}
