import type { TLSSocket } from 'node:tls';
import { isStorePath } from '@mesh/nix';
import { IDLE_CONNECTION_MS } from '../constants.ts';
import { messageOf, TransferError } from '../errors.ts';
import type { LinkRate } from './compression.ts';
import { ASKED, FrameError, type FrameKind, FrameReader } from './frames.ts';
import { COPIED_BYTES, KEPT_READER_MS, MAX_QUEUED_RANGES, OPENED_AHEAD } from './limits.ts';
import {
  type BatchRequest,
  CANCELLED,
  errorFrame,
  idFrame,
  type RangeRequest,
  readBatch,
  readId,
  readPath,
  readRange,
} from './messages.ts';
import { type Compressor, RangeSender, refused } from './range-sender.ts';
import type { HoldingBoard, NarReader, NarShelf } from './ranges.ts';
import { SessionWatches } from './session-watches.ts';
import type { UploadTurns } from './upload-turns.ts';

/** What the sessions of a server have done together. */
export interface SessionCounters {
  /** NARs sent to their end. */
  nars: number;
  /** Ranges sent whole. */
  ranges: number;
  /** Bytes of NARs. */
  rawBytes: number;
  /** Bytes they took on the way, without TLS: fewer where they were compressed. */
  sentBytes: number;
  /** Connections closed because what arrived on them was no request. */
  garbled: number;
}

export interface SessionComponents {
  readonly shelf: NarShelf;
  readonly board?: HoldingBoard;
  readonly counters: SessionCounters;
  readonly turns: UploadTurns;
  /** Of the network to this session's peer. */
  readonly link: LinkRate;
  readonly compressor?: Compressor;
  /** Milliseconds, from any origin. */
  readonly now: () => number;
}

interface QueuedRange {
  readonly request: RangeRequest | BatchRequest;
  readonly cancelled: AbortController;
  /** The path's reader, where it is looked up before its turn. */
  opening: Promise<NarReader | undefined> | undefined;
}

/** One connection of the side channel, serving end. It lives as long as its socket. */
export class NarSession {
  readonly #socket: TLSSocket;
  readonly #sender: RangeSender;
  readonly #components: SessionComponents;
  readonly #gone = new AbortController();
  readonly #queue: QueuedRange[] = [];
  readonly #watches: SessionWatches;
  #reader: { readonly path: string; readonly reader: NarReader } | undefined;
  #readerTimer: NodeJS.Timeout | undefined;
  #answering = false;
  #writing = false;

  constructor(socket: TLSSocket, peerId: string, components: SessionComponents) {
    this.#socket = socket;
    this.#sender = new RangeSender({
      ...components,
      compressor: components.compressor,
      peerId,
      write: (bytes) => this.#write(bytes),
      betweenFrames: async () => {
        for (const holding of this.#watches.take()) await this.#write(holding);
      },
      gone: this.#gone.signal,
    });
    this.#components = components;
    this.#watches = new SessionWatches(peerId, components.board, () => this.#tellHoldings());
    const frames = new FrameReader(ASKED, {
      data: () => undefined,
      frame: (kind, body) => this.#hear(kind, body),
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, IDLE_CONNECTION_MS);
    // Twice the asking end's, so that it is the asking end that closes and knows.
    socket.setTimeout(2 * IDLE_CONNECTION_MS, () => {
      const idle = !this.#answering && this.#watches.size === 0;
      // An asker that takes nothing of what it asked for keeps a reader from others.
      if (idle || this.#writing) socket.destroy();
    });
    // Whatever breaks a connection, its 'close' follows, and that is where it is dealt with.
    socket.on('error', () => undefined);
    socket.once('close', () => this.#end());
    socket.on('data', (chunk) => {
      try {
        frames.push(chunk);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        components.counters.garbled += 1;
        socket.destroy();
      }
    });
    socket.on('drain', () => this.#tellHoldings());
  }

  #hear(kind: FrameKind, body: Uint8Array): void {
    switch (kind) {
      case 'range':
        this.#enqueue(readRange(body));
        return;
      case 'batch':
        this.#enqueue(readBatch(body));
        return;
      case 'cancel': {
        const id = readId(body);
        this.#queue.find(({ request }) => request.id === id)?.cancelled.abort();
        return;
      }
      case 'watch':
        this.#watches.begin(readPath(body));
        return;
      case 'unwatch':
        this.#watches.end(readPath(body));
    }
  }

  #enqueue(request: RangeRequest | BatchRequest): void {
    this.#queue.push({ request, cancelled: new AbortController(), opening: undefined });
    if (this.#queue.length >= MAX_QUEUED_RANGES) this.#socket.pause();
    if (!this.#answering) void this.#answerAll();
  }

  /** Answers what is queued, in order, until nothing is. */
  async #answerAll(): Promise<void> {
    this.#answering = true;
    clearTimeout(this.#readerTimer);
    try {
      for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
        this.#openAhead();
        await this.#answer(head);
        discard(head);
        this.#queue.shift();
        if (this.#queue.length < MAX_QUEUED_RANGES) this.#socket.resume();
      }
      this.#readerTimer = setTimeout(() => this.#closeReader(), KEPT_READER_MS);
      this.#readerTimer.unref();
    } catch {
      // Only writing fails here: the asker went away in the middle, and 'close' tidies up.
      this.#socket.destroy();
    } finally {
      this.#answering = false;
    }
    this.#tellHoldings();
  }

  async #answer(queued: QueuedRange): Promise<void> {
    const { id, zstd, path, offset, bytes } = asRange(queued.request);
    const signal = AbortSignal.any([this.#gone.signal, queued.cancelled.signal]);
    const { counters } = this.#components;
    try {
      const reader = await this.#readerFor(queued, signal);
      const isOther = 'paths' in queued.request && reader.narBytes !== bytes;
      if (isOther) throw refused(`they have ${reader.narBytes} bytes and not ${bytes}`);
      if (offset + bytes > reader.narBytes) throw refused(`its NAR has only ${reader.narBytes} bytes`);
      await this.#sender.send(reader, { id, zstd, path, offset, bytes }, signal);
      await this.#write(idFrame('end', id));
      counters.ranges += 1;
      if (offset + bytes === reader.narBytes)
        counters.nars += 'paths' in queued.request ? queued.request.paths.length : 1;
    } catch (error) {
      if (this.#gone.signal.aborted) throw error;
      // What failed once is opened anew for the next range.
      if (!queued.cancelled.signal.aborted) this.#closeReader();
      const code = queued.cancelled.signal.aborted ? CANCELLED : codeOf(error);
      await this.#write(errorFrame({ id, code, message: `${path}: ${messageOf(error)}` }));
    }
  }

  async #readerFor(queued: QueuedRange, signal: AbortSignal): Promise<NarReader> {
    signal.throwIfAborted();
    const { path } = asRange(queued.request);
    if (this.#reader?.path === path) return this.#reader.reader;
    this.#closeReader();
    const opening = queued.opening ?? this.#openFor(queued.request);
    queued.opening = undefined;
    const reader = await opening;
    if (reader === undefined) throw refused('it is not here');
    this.#reader = { path, reader };
    return reader;
  }

  #openFor(request: RangeRequest | BatchRequest): Promise<NarReader | undefined> {
    return 'paths' in request ? this.#openBatch(request.paths) : this.#open(request.path);
  }

  async #openBatch(paths: readonly string[]): Promise<NarReader> {
    if (!paths.every(isStorePath)) throw refused('it is no store path');
    const batch = await this.#components.shelf.openBatch(paths, this.#gone.signal);
    if (batch === undefined) throw refused('not all of the batch is here');
    return batch;
  }

  async #open(path: string): Promise<NarReader | undefined> {
    if (!isStorePath(path)) throw refused('it is no store path');
    return this.#components.shelf.open(path, this.#gone.signal);
  }

  /** Looks up the next few paths while the one before is sent. */
  #openAhead(): void {
    let before = this.#reader?.path;
    for (const queued of this.#queue.slice(0, OPENED_AHEAD)) {
      // Of batches, which are many paths each, only the one whose turn it is and the next.
      if ('paths' in queued.request && this.#queue.indexOf(queued) > 1) return;
      const { path } = asRange(queued.request);
      if (path !== before && queued.opening === undefined) {
        queued.opening = this.#openFor(queued.request);
        // Heard of at its turn.
        queued.opening.catch(() => undefined);
      }
      before = path;
    }
  }

  #closeReader(): void {
    this.#reader?.reader.close();
    this.#reader = undefined;
  }

  /** Writes, and waits until the memory is free again. Of what is short a copy is sent: many short answers travel together. */
  async #write(bytes: Uint8Array): Promise<void> {
    const isShort = bytes.length <= COPIED_BYTES;
    const written = Promise.withResolvers<void>();
    this.#writing = true;
    this.#socket.write(isShort ? Buffer.from(bytes) : bytes, (error) => {
      if (error === null || error === undefined) written.resolve();
      else
        written.reject(new TransferError('TRANSFER_PEER_LOST', 'The asking peer closed its side channel.'));
    });
    if (isShort && !this.#socket.writableNeedDrain && !this.#socket.destroyed) {
      // What becomes of it shows at the next write, or in 'close'.
      written.promise.catch(() => undefined);
    } else await written.promise;
    this.#writing = false;
  }

  /** Where nothing is being sent, holdings go at once; else they go between two frames. */
  #tellHoldings(): void {
    if (this.#answering || this.#socket.destroyed || this.#socket.writableNeedDrain) return;
    for (const holding of this.#watches.take()) this.#socket.write(holding);
  }

  #end(): void {
    this.#gone.abort();
    this.#watches.close();
    clearTimeout(this.#readerTimer);
    this.#closeReader();
    for (const queued of this.#queue.splice(0)) discard(queued);
  }
}

/** A batch as the range it is of its NARs put together; its name is that of no path. */
function asRange(request: RangeRequest | BatchRequest): RangeRequest {
  if (!('paths' in request)) return request;
  const { id, zstd, bytes, paths } = request;
  return { id, zstd, bytes, offset: 0, path: `${paths.length} paths from ${paths[0]}` };
}

/** Closes the reader that was opened ahead for a range and not needed. */
function discard({ opening }: QueuedRange): void {
  // One that could not be opened has nothing to close.
  opening?.then((reader) => reader?.close()).catch(() => undefined);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'TRANSFER_SIDE_CHANNEL';
}
