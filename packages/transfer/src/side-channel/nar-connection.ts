import type { TLSSocket } from 'node:tls';
import { constants, zstdDecompressSync } from 'node:zlib';
import { IDLE_CONNECTION_MS } from '../constants.ts';
import { messageOf, TransferError } from '../errors.ts';
import { dial, type NarEndpoint } from './dial.ts';
import { ANSWERED, FrameError, type FrameKind, FrameReader } from './frames.ts';
import { MIN_WINDOW_BYTES, STALL_WINDOW_MS, ZSTD_WINDOW_LOG } from './limits.ts';
import {
  batchFrame,
  idFrame,
  pathFrame,
  rangeFrame,
  readError,
  readHolding,
  readId,
  readPacked,
} from './messages.ts';
import type { NarBatch, NarHolding, NarRange } from './ranges.ts';

/** A peer as errors speak of it. */
export interface PeerLabel {
  readonly peerId: string;
  readonly name: string;
}

/** What came in, of all connections that count into it. */
export interface ReceivedCounters {
  /** Bytes of NARs. */
  narBytes: number;
  /** Bytes they took on the way, compressed where they were, without TLS. */
  wireBytes: number;
}

interface PendingRange {
  readonly id: number;
  readonly range: NarRange;
  readonly take: (bytes: Uint8Array) => void;
  readonly done: PromiseWithResolvers<void>;
  left: number;
  /** Nobody waits for it any more: what still comes is thrown away. */
  cancelled: boolean;
}

interface Watch {
  readonly hear: (holding: NarHolding) => void;
  readonly done: PromiseWithResolvers<void>;
}

/** Windows without progress after which a range counts as lost: its first byte may wait for a disk, the following ones do not. */
const QUIET_WINDOWS = { started: 1, notStarted: 2 };

const UNPACK = { params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG } };

/** One connection of the side channel, asking end: ranges one after another, as many asked for at once as the caller likes. */
export class NarConnection {
  readonly #peer: PeerLabel;
  readonly #received: ReceivedCounters;
  readonly #ranges: PendingRange[] = [];
  readonly #watches = new Map<string, Set<Watch>>();
  readonly #frames = new FrameReader(ANSWERED, {
    data: (bytes) => this.#take(bytes, bytes.length),
    frame: (kind, body) => this.#hear(kind, body),
  });
  readonly #ended = Promise.withResolvers<void>();
  #socket: TLSSocket | undefined;
  #nextId = 1;
  #failure: Error | undefined;
  #stallTimer: NodeJS.Timeout | undefined;
  #windowBytes = 0;
  #quietWindows = 0;

  private constructor(peer: PeerLabel, received: ReceivedCounters) {
    this.#peer = peer;
    this.#received = received;
  }

  /** @throws TransferError TRANSFER_PEER_LOST where no address answers or the key is refused */
  static async connect(
    endpoint: NarEndpoint,
    peer: PeerLabel,
    options: { readonly signal?: AbortSignal; readonly received?: ReceivedCounters } = {},
  ): Promise<NarConnection> {
    const connection = new NarConnection(peer, options.received ?? { narBytes: 0, wireBytes: 0 });
    connection.#use(await dial(endpoint, peer, (bytes) => connection.#receive(bytes), options.signal));
    return connection;
  }

  /** Whether nothing further can be had here. */
  get closed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves once nothing further can be had here. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** See `PeerRanges.read`. An abort fails it at once and leaves the others on this connection alone. */
  read(range: NarRange, take: (bytes: Uint8Array) => void, signal?: AbortSignal): Promise<void> {
    return this.#ask(range, (id) => rangeFrame({ id, zstd: true, ...range }), take, signal);
  }

  /** See `PeerRanges.readBatch`. */
  readBatch(batch: NarBatch, take: (bytes: Uint8Array) => void, signal?: AbortSignal): Promise<void> {
    const range = { path: batch.paths[0]!, offset: 0, bytes: batch.bytes };
    return this.#ask(range, (id) => batchFrame({ id, zstd: true, ...batch }), take, signal);
  }

  async #ask(
    range: NarRange,
    requestOf: (id: number) => Uint8Array,
    take: (bytes: Uint8Array) => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#about(range.path, this.#failure);
    const id = this.#nextId;
    this.#nextId = (id + 1) % 2 ** 32;
    const pending: PendingRange = {
      id,
      range,
      take,
      done: Promise.withResolvers(),
      left: range.bytes,
      cancelled: false,
    };
    const abort = () => this.#cancel(pending, signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#ranges.push(pending);
    this.#watchStalls();
    this.#socket?.write(requestOf(id));
    try {
      await pending.done.promise;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** See `PeerRanges.watch`. */
  async watch(path: string, hear: (holding: NarHolding) => void, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (this.#failure !== undefined) throw this.#about(path, this.#failure);
    const watch: Watch = { hear, done: Promise.withResolvers() };
    const stop = () => watch.done.resolve();
    const watches = this.#watches.get(path) ?? new Set();
    this.#watches.set(path, watches.add(watch));
    signal.addEventListener('abort', stop, { once: true });
    // A second watcher of a path asks again, so that it hears at once too.
    this.#socket?.write(pathFrame('watch', path));
    try {
      await watch.done.promise;
    } finally {
      signal.removeEventListener('abort', stop);
      watches.delete(watch);
      if (watches.size === 0 && this.#watches.delete(path)) this.#socket?.write(pathFrame('unwatch', path));
    }
  }

  close(): void {
    this.#fail(new Error('it was closed at this end'));
  }

  #use(socket: TLSSocket): void {
    this.#socket = socket;
    socket.setKeepAlive(true, IDLE_CONNECTION_MS);
    socket.setTimeout(IDLE_CONNECTION_MS, () => {
      if (this.#ranges.length === 0 && this.#watches.size === 0) this.close();
    });
    socket.on('close', () => this.#fail(new Error('it closed the connection')));
    socket.on('end', () => this.#fail(new Error('it closed the connection')));
    if (socket.destroyed) this.#fail(new Error('it closed the connection'));
  }

  #receive(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return;
    this.#windowBytes += bytes.length;
    try {
      this.#frames.push(bytes);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Bytes of the range that is being answered. */
  #take(bytes: Uint8Array, wireBytes: number): void {
    const pending = this.#ranges[0];
    if (pending === undefined) throw new FrameError('bytes nobody asked for');
    if (bytes.length > pending.left) throw new FrameError('more bytes than were asked for');
    pending.left -= bytes.length;
    this.#received.narBytes += bytes.length;
    this.#received.wireBytes += wireBytes;
    if (pending.cancelled) return;
    try {
      pending.take(bytes);
    } catch (error) {
      // It is the taker that cannot go on: the other ranges have nothing to do with it.
      this.#cancel(pending, error);
    }
  }

  #hear(kind: Exclude<FrameKind, 'data'>, body: Uint8Array): void {
    switch (kind) {
      case 'packed':
        this.#take(unpack(body), body.length);
        return;
      case 'end': {
        const pending = this.#answered(readId(body));
        if (pending.left > 0 && !pending.cancelled) {
          const short = new FrameError(`${pending.left} bytes fewer than were asked for`);
          pending.done.reject(this.#about(pending.range.path, short));
          throw short;
        }
        pending.done.resolve();
        return;
      }
      case 'error': {
        const { id, message } = readError(body);
        const { range, done } = this.#answered(id);
        done.reject(
          new TransferError(
            'TRANSFER_PEER_REFUSED',
            `${this.#peer.name} did not send ${range.path}: ${message}`,
            {
              peerId: this.#peer.peerId,
              path: range.path,
            },
          ),
        );
        return;
      }
      case 'holding': {
        const { path, holding } = readHolding(body);
        // One for a path that is no longer watched crossed with the word that it is not.
        for (const { hear } of this.#watches.get(path) ?? []) hear(holding);
      }
    }
  }

  /** The range whose answer is complete. */
  #answered(id: number): PendingRange {
    const pending = this.#ranges[0];
    if (pending?.id !== id) throw new FrameError('the end of a range that is not under way');
    this.#ranges.shift();
    // An answer is progress, however small.
    this.#windowBytes += MIN_WINDOW_BYTES;
    return pending;
  }

  #cancel(pending: PendingRange, reason: unknown): void {
    if (pending.cancelled) return;
    pending.cancelled = true;
    pending.done.reject(reason);
    if (this.#ranges.includes(pending)) this.#socket?.write(idFrame('cancel', pending.id));
  }

  #watchStalls(): void {
    if (this.#stallTimer !== undefined) return;
    this.#windowBytes = 0;
    this.#quietWindows = 0;
    this.#stallTimer = setInterval(() => this.#closeWindow(), STALL_WINDOW_MS);
  }

  #closeWindow(): void {
    const head = this.#ranges[0];
    if (head === undefined) {
      clearInterval(this.#stallTimer);
      this.#stallTimer = undefined;
      return;
    }
    this.#quietWindows = this.#windowBytes < MIN_WINDOW_BYTES ? this.#quietWindows + 1 : 0;
    this.#windowBytes = 0;
    const started = head.left < head.range.bytes;
    const allowed = started ? QUIET_WINDOWS.started : QUIET_WINDOWS.notStarted;
    if (this.#quietWindows >= allowed) this.#fail(new Error('it sent next to nothing for too long'));
  }

  /** Nothing more comes: whoever waits for something is told. */
  #fail(reason: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    this.#ended.resolve();
    clearInterval(this.#stallTimer);
    this.#socket?.destroy();
    for (const { range, done } of this.#ranges.splice(0)) done.reject(this.#about(range.path, reason));
    for (const [path, watches] of this.#watches) {
      for (const { done } of watches) done.reject(this.#about(path, reason));
    }
    this.#watches.clear();
  }

  #about(path: string, reason: Error): TransferError {
    const details = { peerId: this.#peer.peerId, path, cause: reason };
    return reason instanceof FrameError
      ? new TransferError(
          'TRANSFER_SIDE_CHANNEL',
          `${this.#peer.name} broke the rules of the side channel at ${path} (${messageOf(reason)}).`,
          details,
        )
      : new TransferError(
          'TRANSFER_PEER_LOST',
          `${this.#peer.name} was lost while it sent ${path} (${messageOf(reason)}).`,
          details,
        );
  }
}

/** @throws FrameError where it is not compressed, or not to what it says */
function unpack(body: Uint8Array): Uint8Array {
  const { rawBytes, packed } = readPacked(body);
  try {
    const bytes = zstdDecompressSync(packed, { ...UNPACK, maxOutputLength: rawBytes });
    if (bytes.length !== rawBytes) throw new Error(`it has ${bytes.length} bytes`);
    return bytes;
  } catch (error) {
    throw new FrameError(`a packed frame that does not unpack to ${rawBytes} bytes (${messageOf(error)})`);
  }
}
