import { createHash } from 'node:crypto';
import { STALLED_TRANSFER_MS } from '../constants.ts';
import { TransferError } from '../errors.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';
import { pieceBytes, pieceCount } from '../side-channel/pieces.ts';
import type { NarHolding, PeerRanges } from '../side-channel/ranges.ts';
import { LARGE_NAR_BYTES, MAX_SWARM, SPOOL_LINGER_MS, TICK_MS, WINDOW_BYTES } from './limits.ts';
import type { PartialNar, PartialNars } from './partial-nars.ts';
import { type AskedPiece, PiecePlan, type PlanEffect, type PlanEvent } from './piece-plan.ts';
import { SourceLedger, type SourceShare } from './source-ledger.ts';
import { Spool } from './spool.ts';
import type { WindowBudget } from './window-budget.ts';
import type { Witness } from './witness.ts';

/** A member that has, or fetches, a NAR. */
export interface NarSourceHint {
  readonly peer: PeerLabel;
  /** Bytes a millisecond it is expected to give. */
  readonly bytesPerMs: number;
}

export interface WantedNar {
  readonly path: string;
  readonly narSize: number;
  /** Said to have all of it. */
  readonly sources: readonly NarSourceHint[];
  /** Pieces of others that fetch the same are not taken: one of them was wrong before. */
  readonly alone?: boolean;
}

export interface NarFetchComponents {
  readonly peers: PeerRanges;
  readonly budget: WindowBudget;
  /** For spools. */
  readonly directory: string;
  readonly partials: PartialNars | undefined;
  /** Milliseconds, from any origin. */
  readonly now: () => number;
  readonly random: () => number;
}

interface Coming {
  readonly asked: AskedPiece;
  /** Of the whole piece. */
  readonly buffer: Uint8Array;
  readonly giveUp: AbortController;
  readonly askedAtMs: number;
  reached: number;
}

/** Pieces that may still be in use when the next is taken: one goes to the store, one is held back by verification. */
const HELD_BACK = 2;
/** A fetcher nobody measured is expected to give what a shared source gives. */
const UNMEASURED_BYTES_PER_MS = 20_000;

/** One NAR on its way here, in pieces, from everybody who has some: carries out what a {@link PiecePlan} decides. Nothing is verified. */
export class NarFetch {
  readonly #wanted: WantedNar;
  readonly #components: NarFetchComponents;
  readonly #plan: PiecePlan;
  readonly #ledger: SourceLedger;
  readonly #pieceBytes: number;
  readonly #peers = new Map<string, PeerLabel>();
  readonly #complete = new Set<string>();
  readonly #coming = new Map<number, Coming>();
  readonly #inMemory = new Map<number, Uint8Array>();
  readonly #spooled = new Set<number>();
  /** Pieces begun by a source that was lost: their first bytes are in there. */
  readonly #begun = new Map<number, Uint8Array>();
  /** Buffers of whole pieces to be filled again. */
  readonly #free: Uint8Array[] = [];
  readonly #ended = new AbortController();
  readonly #lost = new Set<string>();
  #spool: Spool | undefined;
  #spoolState: 'none' | 'starting' | 'on' | 'over' = 'none';
  #partial: PartialNar | undefined;
  #lastFault: TransferError | undefined;
  #failure: TransferError | undefined;
  #wake: (() => void) | undefined;
  #heardAtMs: number;
  #heldBytes = 0;
  #waits = false;

  constructor(wanted: WantedNar, components: NarFetchComponents) {
    this.#wanted = wanted;
    this.#components = components;
    this.#pieceBytes = pieceBytes(wanted.narSize);
    this.#heardAtMs = components.now();
    this.#ledger = new SourceLedger(components.now);
    const { random } = components;
    this.#plan = new PiecePlan({ narBytes: wanted.narSize, windowBytes: WINDOW_BYTES, random });
  }

  /** Who gave how much so far. */
  get shares(): SourceShare[] {
    return this.#ledger.shares(this.#peers);
  }

  /** Bytes that came more than once, or for nothing. */
  get resentBytes(): number {
    return this.#ledger.receivedBytes === 0 ? 0 : this.#ledger.wastedBytes;
  }

  /** What each source said a part is, where there is more than one. */
  get witnesses(): readonly Witness[] {
    return this.#ledger.witnesses;
  }

  /** Faults of sources that were replaced by others. */
  readonly faults: TransferError[] = [];

  /** Whether a source was one that has everything itself: what others pass on they cannot know. */
  isComplete(peerId: string): boolean {
    return this.#complete.has(peerId);
  }

  /**
   * The NAR in its order, a piece at a time. Once. A piece's bytes are good until the third piece after it was asked for.
   * @throws TransferError of the last source, once none is left; TRANSFER_PEER_LOST where nothing comes for STALLED_TRANSFER_MS
   */
  async *chunks(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    signal.throwIfAborted();
    const abort = () => this.#wake?.();
    signal.addEventListener('abort', abort, { once: true });
    const noMoreRoom = this.#components.budget.onRoom(() => this.#hasRoom());
    const ticks = setInterval(() => this.#tick(), TICK_MS);
    try {
      this.#begin();
      const taken: Uint8Array[] = [];
      for (let piece = 0; piece < pieceCount(this.#wanted.narSize); piece += 1) {
        const bytes = await this.#take(piece, signal);
        taken.push(bytes);
        if (taken.length > HELD_BACK) this.#recycle(taken.shift()!);
        this.#step({ type: 'consumed', pieces: piece + 1 });
        yield bytes;
      }
    } finally {
      signal.removeEventListener('abort', abort);
      clearInterval(ticks);
      noMoreRoom();
      this.#end();
    }
  }

  #begin(): void {
    const { path, narSize, sources, alone } = this.#wanted;
    const swarms = narSize >= LARGE_NAR_BYTES && alone !== true;
    if (swarms) this.#partial = this.#components.partials?.begin(path, narSize);
    for (const { peer, bytesPerMs } of sources) {
      this.#peers.set(peer.peerId, peer);
      this.#complete.add(peer.peerId);
      this.#step(
        { type: 'source', source: peer.peerId, complete: true, pieces: new Uint8Array(0), bytesPerMs },
        false,
      );
    }
    this.#step({ type: 'tick' });
    if (swarms) for (const { peer } of sources) void this.#watch(peer);
  }

  async #take(piece: number, signal: AbortSignal): Promise<Uint8Array> {
    for (;;) {
      signal.throwIfAborted();
      const inMemory = this.#inMemory.get(piece);
      if (inMemory !== undefined) {
        this.#inMemory.delete(piece);
        this.#release(inMemory.length);
        return inMemory;
      }
      if (this.#spooled.has(piece)) return this.#spool!.read(piece * this.#pieceBytes, this.#bytesOf(piece));
      if (this.#failure !== undefined) throw this.#failure;
      this.#waits = true;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#waits = false;
    }
  }

  #step(event: PlanEvent, starves = true): void {
    const room = this.#components.budget.roomFor(this.#pieceBytes, this.#heldBytes);
    for (const effect of this.#plan.step(event, starves ? room : 0)) this.#carryOut(effect, starves);
  }

  #carryOut(effect: PlanEffect, starves: boolean): void {
    switch (effect.type) {
      case 'ask':
        void this.#ask(effect.asked);
        return;
      case 'give-up': {
        const coming = this.#coming.get(effect.id);
        if (coming !== undefined) this.#drop(coming, false);
        return;
      }
      case 'starved':
        if (starves) this.#fail(this.#lastFault ?? this.#nobody());
    }
  }

  async #ask(asked: AskedPiece): Promise<void> {
    const start = asked.piece * this.#pieceBytes;
    const from = asked.offset - start;
    const buffer = (from > 0 ? this.#begun.get(asked.piece) : undefined) ?? this.#newBuffer(asked.piece);
    if (from > 0) this.#begun.delete(asked.piece);
    const peer = this.#peers.get(asked.source)!;
    const giveUp = new AbortController();
    const coming: Coming = { asked, buffer, giveUp, askedAtMs: this.#components.now(), reached: 0 };
    this.#coming.set(asked.id, coming);
    this.#heldBytes += buffer.length;
    this.#components.budget.take(buffer.length);
    const take = (bytes: Uint8Array) => {
      buffer.set(bytes, from + coming.reached);
      coming.reached += bytes.length;
      this.#heardAtMs = this.#components.now();
      this.#ledger.received(asked.source, bytes.length);
    };
    const { path } = this.#wanted;
    const range = { path, offset: asked.offset, bytes: asked.bytes };
    try {
      await this.#components.peers.read(peer, range, take, giveUp.signal);
    } catch (error) {
      if (this.#coming.has(asked.id)) this.#lose(asked.source, error);
      return;
    }
    // Given up in the moment it was complete.
    if (this.#coming.get(asked.id) === coming) this.#came(coming);
  }

  #came(coming: Coming): void {
    const { asked, buffer } = coming;
    this.#coming.delete(asked.id);
    const bytesPerMs = this.#ledger.finished(asked.source, coming.askedAtMs, asked.bytes);
    const start = asked.offset - asked.piece * this.#pieceBytes;
    this.#ledger.witness(asked.source, asked.offset, () => digest(buffer.subarray(start)), asked.bytes);
    this.#inMemory.set(asked.piece, buffer);
    this.#store(asked.piece, buffer);
    this.#step({ type: 'done', id: asked.id, bytesPerMs });
    this.#wake?.();
  }

  /** A source failed: what it was asked for goes to others. */
  #lose(source: string, error: unknown): void {
    if (this.#lost.has(source)) return;
    this.#lost.add(source);
    const fault = this.#faultOf(source, error);
    this.#lastFault = fault;
    // What another fetcher no longer has is no fault.
    if (this.#complete.has(source)) this.faults.push(fault);
    const reached = new Map<number, number>();
    for (const coming of [...this.#coming.values()]) {
      if (coming.asked.source !== source) continue;
      reached.set(coming.asked.id, coming.reached);
      this.#drop(coming, true);
    }
    this.#step({ type: 'gone', source, reached });
  }

  #faultOf(source: string, error: unknown): TransferError {
    const { path } = this.#wanted;
    if (error instanceof TransferError) {
      const { code, message } = error;
      return new TransferError(code, message, { peerId: source, path, cause: error });
    }
    const { name } = this.#peers.get(source)!;
    return new TransferError('TRANSFER_PEER_LOST', `${name} was lost while it sent ${path}.`, {
      peerId: source,
      path,
      cause: error,
    });
  }

  /** @param keeps whether its first bytes are gone on with */
  #drop(coming: Coming, keeps: boolean): void {
    const { asked, buffer, reached } = coming;
    this.#coming.delete(asked.id);
    this.#release(buffer.length);
    const from = asked.offset - asked.piece * this.#pieceBytes;
    if ((keeps && reached > 0) || from > 0) {
      this.#begun.set(asked.piece, buffer);
      if (keeps && reached > 0) {
        const part = () => digest(buffer.subarray(from, from + reached));
        this.#ledger.witness(asked.source, asked.offset, part, reached);
      }
    }
    if (!keeps) this.#ledger.wasted(reached);
    coming.giveUp.abort();
  }

  #hasRoom(): void {
    // Released in the middle of a step: the step goes on with it.
    queueMicrotask(() => {
      if (!this.#ended.signal.aborted && this.#failure === undefined) this.#step({ type: 'tick' });
    });
  }

  #tick(): void {
    if (this.#waits && this.#components.now() - this.#heardAtMs > STALLED_TRANSFER_MS) {
      this.#fail(this.#lastFault ?? this.#nobody());
    }
    if (this.#failure !== undefined) return;
    for (const { asked, askedAtMs } of this.#coming.values()) {
      const waitedMs = this.#ledger.waitedMs(asked.source, askedAtMs);
      const slow = this.#pieceBytes / Math.max(1, waitedMs);
      if (waitedMs > TICK_MS) this.#step({ type: 'slow', source: asked.source, bytesPerMs: slow });
    }
    this.#step({ type: 'tick' });
  }

  /** Hears what a source has, and who else fetches. */
  async #watch(peer: PeerLabel): Promise<void> {
    const hear = (holding: NarHolding) => this.#hear(peer, holding);
    try {
      await this.#components.peers.watch(peer, this.#wanted.path, hear, this.#ended.signal);
    } catch (error) {
      // One that has everything may go on giving though it does not tell; another one's map is out of date from now on.
      if (!this.#ended.signal.aborted && !this.#complete.has(peer.peerId)) this.#lose(peer.peerId, error);
    }
  }

  #hear(peer: PeerLabel, { complete, pieces, fetchers }: NarHolding): void {
    if (this.#ended.signal.aborted || this.#lost.has(peer.peerId)) return;
    if (complete) this.#complete.add(peer.peerId);
    const everything = complete || this.#complete.has(peer.peerId);
    this.#step({
      type: 'source',
      source: peer.peerId,
      complete: everything,
      pieces,
      bytesPerMs: UNMEASURED_BYTES_PER_MS,
    });
    for (const peerId of fetchers) {
      if (this.#peers.has(peerId) || this.#peers.size >= MAX_SWARM) continue;
      const fetcher = { peerId, name: peerId };
      this.#peers.set(peerId, fetcher);
      void this.#watch(fetcher);
    }
    if (fetchers.length > 0) void this.#startSpool();
  }

  async #startSpool(): Promise<void> {
    if (this.#spoolState !== 'none' || this.#partial === undefined) return;
    this.#spoolState = 'starting';
    // Without room on the disk it goes on in order and in memory.
    const spool = await Spool.create(this.#components.directory, this.#wanted.narSize).catch(() => undefined);
    if (spool === undefined || this.#ended.signal.aborted) {
      this.#spoolState = 'over';
      await spool?.close();
      return;
    }
    this.#spool = spool;
    this.#spoolState = 'on';
    for (const [piece, bytes] of this.#inMemory) this.#store(piece, bytes);
    this.#step({ type: 'spool', on: true });
  }

  #store(piece: number, bytes: Uint8Array): void {
    const spool = this.#spool;
    if (this.#spoolState !== 'on' || spool === undefined) return;
    spool.write(bytes, piece * this.#pieceBytes).then(
      () => {
        this.#spooled.add(piece);
        this.#partial?.add(piece, spool);
        if (this.#inMemory.delete(piece)) this.#release(bytes.length);
      },
      () => {
        // The disk is full: what is on it stays of use, the rest goes by memory.
        this.#spoolState = 'over';
        if (!this.#ended.signal.aborted) this.#step({ type: 'spool', on: false });
      },
    );
  }

  #fail(error: TransferError): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  #nobody(): TransferError {
    const { path, sources } = this.#wanted;
    const peer = sources[0]?.peer;
    return new TransferError('TRANSFER_PEER_LOST', `Nothing of ${path} came for too long.`, {
      path,
      ...(peer === undefined ? {} : { peerId: peer.peerId }),
    });
  }

  #end(): void {
    this.#ended.abort();
    for (const coming of [...this.#coming.values()]) this.#drop(coming, false);
    for (const bytes of this.#inMemory.values()) this.#release(bytes.length);
    this.#inMemory.clear();
    this.#begun.clear();
    this.#free.length = 0;
    const [partial, spool] = [this.#partial, this.#spool];
    const close = () => {
      partial?.end();
      // Nothing can be done about a file without a name that does not close.
      spool?.close().catch(() => undefined);
    };
    if (spool === undefined) close();
    else setTimeout(close, SPOOL_LINGER_MS).unref();
  }

  #release(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#components.budget.release(bytes);
  }

  #bytesOf(piece: number): number {
    return Math.min(this.#pieceBytes, this.#wanted.narSize - piece * this.#pieceBytes);
  }

  #newBuffer(piece: number): Uint8Array {
    const bytes = this.#bytesOf(piece);
    const free = bytes === this.#pieceBytes ? this.#free.pop() : undefined;
    return free ?? Buffer.allocUnsafeSlow(bytes);
  }

  /** A new buffer for every piece would have the garbage collector walk the heap over and over. */
  #recycle(bytes: Uint8Array): void {
    // What a spool still writes is not free, and without a window there is no need.
    if (this.#spoolState !== 'none' || bytes.length !== this.#pieceBytes) return;
    this.#free.push(bytes);
  }
}

function digest(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}
