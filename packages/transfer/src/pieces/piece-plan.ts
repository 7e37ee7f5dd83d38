import { pieceBytes, pieceCount } from '../side-channel/pieces.ts';
import { hasPiece } from './piece-map.ts';

/** A piece asked of one source, or what is left of it. */
export interface AskedPiece {
  readonly id: number;
  readonly source: string;
  readonly piece: number;
  /** First byte, from the NAR's start. */
  readonly offset: number;
  readonly bytes: number;
}

export type PlanEvent =
  /** A source, or news of it. One without all pieces is another that fetches the same. */
  | {
      readonly type: 'source';
      readonly source: string;
      readonly complete: boolean;
      readonly pieces: Uint8Array;
      readonly bytesPerMs: number;
    }
  /** A source is not to be asked any more; what it was asked for goes to others, from the byte reached. */
  | { readonly type: 'gone'; readonly source: string; readonly reached: ReadonlyMap<number, number> }
  /** A piece is whole. */
  | { readonly type: 'done'; readonly id: number; readonly bytesPerMs: number }
  /** The consumer has taken every piece below this one. */
  | { readonly type: 'consumed'; readonly pieces: number }
  /** Pieces are kept on disk from now on, in any order; or, where that ended, in memory and in order again. */
  | { readonly type: 'spool'; readonly on: boolean }
  /** A source that is asked for something gives no more than this, as far as can be seen. */
  | { readonly type: 'slow'; readonly source: string; readonly bytesPerMs: number }
  | { readonly type: 'tick' };

export type PlanEffect =
  | { readonly type: 'ask'; readonly asked: AskedPiece }
  /** Its piece came, or comes, from elsewhere. */
  | { readonly type: 'give-up'; readonly id: number }
  /** No source is left, and pieces are. */
  | { readonly type: 'starved' };

interface SourceState {
  complete: boolean;
  pieces: Uint8Array;
  bytesPerMs: number;
  /** Pieces it gave. */
  done: number;
  /** In the order asked. */
  readonly queue: AskedPiece[];
}

export interface PiecePlanInit {
  readonly narBytes: number;
  /** Bytes beyond the consumer that may be asked for while there is no spool. */
  readonly windowBytes: number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/** What is under way at a source should last this long: more hides no further round trip, and less would. */
const AHEAD_MS = 200;
const MIN_AHEAD_PIECES = 2;
const MAX_AHEAD_BYTES = 16 * 1024 * 1024;
/** Among many fetchers little is asked ahead, so that each piece is chosen by what the others have by then. */
const SWARM_AHEAD_PIECES = { complete: 2, partial: 4 };
/** Another source takes a piece over if it would have it this many times sooner. */
const WORTH_TAKING_OVER = 2;
/** And only this much of a NAR is asked for twice, or one piece. */
const MAX_TWICE = 0.05;

/** A piece's own rate counts this much in that of its source. */
const NEWEST_SHARE = 0.25;

const WANTED = 0;
const UNDER_WAY = 1;
const HERE = 2;

/**
 * Decides which piece of one NAR is asked of whom. Pure: fed with events, gives effects; the caller carries them out. Without a spool
 * pieces come in order, within a window ahead of the consumer. With one, they come in any order: what nobody else has from those
 * that have everything, at random, so that fetchers get different pieces; what other fetchers have from them.
 */
export class PiecePlan {
  readonly #narBytes: number;
  readonly #pieceBytes: number;
  readonly #count: number;
  readonly #windowPieces: number;
  readonly #random: () => number;
  readonly #states: Uint8Array;
  readonly #sources = new Map<string, SourceState>();
  readonly #asked = new Map<number, AskedPiece>();
  /** Bytes that a source sent of a piece before it was lost. */
  readonly #reached = new Map<number, number>();
  #nextId = 1;
  #consumed = 0;
  /** No piece below is WANTED. */
  #firstWanted = 0;
  #here = 0;
  #spool = false;
  #twiceBytes = 0;

  constructor({ narBytes, windowBytes, random }: PiecePlanInit) {
    this.#narBytes = narBytes;
    this.#pieceBytes = pieceBytes(narBytes);
    this.#count = pieceCount(narBytes);
    this.#windowPieces = Math.max(1, Math.floor(windowBytes / this.#pieceBytes));
    this.#random = random;
    this.#states = new Uint8Array(this.#count);
  }

  get complete(): boolean {
    return this.#here === this.#count;
  }

  /** Sources asked now or to be asked. */
  get sources(): number {
    return this.#sources.size;
  }

  /** @param roomPieces pieces for which there is memory now */
  step(event: PlanEvent, roomPieces = Number.POSITIVE_INFINITY): PlanEffect[] {
    const effects: PlanEffect[] = [];
    this.#take(event, effects);
    if (this.complete) return effects;
    this.#share(effects, roomPieces);
    if (this.#sources.size === 0) effects.push({ type: 'starved' });
    return effects;
  }

  #take(event: PlanEvent, effects: PlanEffect[]): void {
    switch (event.type) {
      case 'source': {
        const { source, complete, pieces, bytesPerMs } = event;
        const known = this.#sources.get(source);
        if (known === undefined)
          this.#sources.set(source, { complete, pieces, bytesPerMs, done: 0, queue: [] });
        else Object.assign(known, { complete, pieces });
        return;
      }
      case 'gone':
        this.#lose(event.source, event.reached);
        return;
      case 'done':
        this.#done(event.id, event.bytesPerMs, effects);
        return;
      case 'consumed':
        this.#consumed = Math.max(this.#consumed, event.pieces);
        return;
      case 'spool':
        this.#spool = event.on;
        return;
      case 'slow': {
        const source = this.#sources.get(event.source);
        if (source !== undefined) source.bytesPerMs = Math.min(source.bytesPerMs, event.bytesPerMs);
        return;
      }
      case 'tick':
    }
  }

  #lose(name: string, reached: ReadonlyMap<number, number>): void {
    const source = this.#sources.get(name);
    this.#sources.delete(name);
    for (const asked of source?.queue ?? []) {
      this.#asked.delete(asked.id);
      if (this.#states[asked.piece] === HERE || this.#askedOf(asked.piece) > 0) continue;
      this.#want(asked.piece);
      const bytes = reached.get(asked.id) ?? 0;
      if (bytes > 0) this.#reached.set(asked.piece, asked.offset - asked.piece * this.#pieceBytes + bytes);
    }
  }

  #done(id: number, bytesPerMs: number, effects: PlanEffect[]): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#forget(asked);
    const source = this.#sources.get(asked.source);
    if (source !== undefined) source.done += 1;
    // The mean of times, not of rates: two pieces that arrive together do not make a source fast.
    if (source !== undefined && bytesPerMs > 0) {
      source.bytesPerMs = 1 / ((1 - NEWEST_SHARE) / source.bytesPerMs + NEWEST_SHARE / bytesPerMs);
    }
    if (this.#states[asked.piece] === HERE) return;
    this.#states[asked.piece] = HERE;
    this.#reached.delete(asked.piece);
    this.#here += 1;
    for (const other of [...this.#asked.values()]) {
      if (other.piece !== asked.piece) continue;
      this.#forget(other);
      effects.push({ type: 'give-up', id: other.id });
    }
  }

  /** Asks whoever is nearest to running out of work, until everybody has enough, or there is no more to ask for or no more room. */
  #share(effects: PlanEffect[], roomPieces: number): void {
    let room = roomPieces;
    const able = new Set(this.#sources.keys());
    while (able.size > 0 && room >= 1) {
      const name = this.#idlest(able);
      const source = this.#sources.get(name)!;
      const piece = this.#isBusy(source) ? undefined : this.#choose(source);
      if (piece === undefined) {
        able.delete(name);
        continue;
      }
      this.#ask(name, source, piece, effects);
      room -= 1;
    }
    if (room >= 1) this.#takeOver(effects);
  }

  #idlest(names: Iterable<string>): string {
    let best: { name: string; ms: number } | undefined;
    for (const name of names) {
      const source = this.#sources.get(name)!;
      const ms = queuedBytes(source) / source.bytesPerMs;
      // Of two that are idle the faster one, so that what is needed first comes first.
      const isFaster =
        best !== undefined && ms === best.ms && source.bytesPerMs > this.#sources.get(best.name)!.bytesPerMs;
      if (best === undefined || ms < best.ms || isFaster) best = { name, ms };
    }
    return best!.name;
  }

  #isBusy(source: SourceState): boolean {
    if (this.#isSwarm) {
      const { complete, partial } = SWARM_AHEAD_PIECES;
      return source.queue.length >= (source.complete ? complete : partial);
    }
    const bytes = Math.min(MAX_AHEAD_BYTES, source.bytesPerMs * AHEAD_MS);
    const pieces = Math.max(MIN_AHEAD_PIECES, Math.floor(bytes / this.#pieceBytes));
    // Little until it is known what it gives, and who else fetches: many that begin at once begin with the same pieces.
    return source.queue.length >= Math.min(pieces, MIN_AHEAD_PIECES + source.done);
  }

  get #isSwarm(): boolean {
    if (!this.#spool) return false;
    for (const { complete } of this.#sources.values()) if (!complete) return true;
    return false;
  }

  #choose(source: SourceState): number | undefined {
    return this.#isSwarm ? this.#chooseAmongMany(source) : this.#chooseInOrder(source);
  }

  /** A slow source begins further on, where the others will be when it is done: nothing waits for it. */
  #chooseInOrder(source: SourceState): number | undefined {
    const myMs = (queuedBytes(source) + this.#pieceBytes) / source.bytesPerMs;
    let othersBytes = 0;
    for (const other of this.#sources.values()) {
      if (other !== source) othersBytes += Math.max(0, other.bytesPerMs * myMs - queuedBytes(other));
    }
    let skip = this.#sources.size === 1 ? 0 : Math.floor(othersBytes / this.#pieceBytes);
    let chosen: number | undefined;
    const end = this.#windowEnd;
    for (let piece = this.#advance(); piece < end; piece += 1) {
      if (this.#states[piece] !== WANTED || !holds(source, piece)) continue;
      chosen = piece;
      if (skip <= 0) break;
      skip -= 1;
    }
    return chosen;
  }

  #chooseAmongMany(source: SourceState): number | undefined {
    const others = [...this.#sources.values()].filter((other) => other !== source && !other.complete);
    let seen = 0;
    let chosen: number | undefined;
    for (let piece = this.#advance(); piece < this.#count; piece += 1) {
      if (this.#states[piece] !== WANTED || !holds(source, piece)) continue;
      if (source.complete && others.some((other) => hasPiece(other.pieces, piece))) continue;
      seen += 1;
      // Each of n candidates with the same chance, without a list of them.
      if (this.#random() * seen < 1) chosen = piece;
    }
    return chosen;
  }

  /** Where only slow sources still have something to do, idle ones take it over. */
  #takeOver(effects: PlanEffect[]): void {
    if (this.#advance() < this.#windowEnd && this.#hasWanted()) return;
    for (const [name, source] of this.#sources) {
      if (source.queue.length > 0) continue;
      const late = this.#latest(name, source);
      if (late === undefined) continue;
      if (late.isQueued) {
        this.#forget(late.asked);
        effects.push({ type: 'give-up', id: late.asked.id });
      } else {
        const most = Math.max(this.#pieceBytes, MAX_TWICE * this.#narBytes);
        if (this.#twiceBytes + late.asked.bytes > most) continue;
        this.#twiceBytes += late.asked.bytes;
      }
      this.#ask(name, source, late.asked.piece, effects);
    }
  }

  /** The piece that is longest in coming elsewhere, if this source would have it clearly sooner. */
  #latest(name: string, source: SourceState): { asked: AskedPiece; isQueued: boolean } | undefined {
    let latest: { asked: AskedPiece; isQueued: boolean; ms: number } | undefined;
    for (const [otherName, other] of this.#sources) {
      if (otherName === name) continue;
      let before = 0;
      for (const [place, asked] of other.queue.entries()) {
        before += asked.bytes;
        const ms = before / other.bytesPerMs;
        const isSooner = ms > (WORTH_TAKING_OVER * asked.bytes) / source.bytesPerMs;
        if (!isSooner || !holds(source, asked.piece) || this.#askedOf(asked.piece) > 1) continue;
        if (latest === undefined || ms > latest.ms) latest = { asked, isQueued: place > 0, ms };
      }
    }
    return latest;
  }

  #ask(name: string, source: SourceState, piece: number, effects: PlanEffect[]): void {
    const start = piece * this.#pieceBytes;
    const end = Math.min(start + this.#pieceBytes, this.#narBytes);
    const isTwice = this.#askedOf(piece) > 0;
    const offset = start + (isTwice ? 0 : (this.#reached.get(piece) ?? 0));
    const asked = { id: this.#nextId++, source: name, piece, offset, bytes: end - offset };
    this.#states[piece] = UNDER_WAY;
    this.#asked.set(asked.id, asked);
    source.queue.push(asked);
    effects.push({ type: 'ask', asked });
  }

  #forget(asked: AskedPiece): void {
    this.#asked.delete(asked.id);
    const queue = this.#sources.get(asked.source)?.queue;
    const place = queue?.indexOf(asked) ?? -1;
    if (place !== -1) queue!.splice(place, 1);
  }

  #askedOf(piece: number): number {
    let count = 0;
    for (const asked of this.#asked.values()) if (asked.piece === piece) count += 1;
    return count;
  }

  #want(piece: number): void {
    this.#states[piece] = WANTED;
    this.#firstWanted = Math.min(this.#firstWanted, piece);
  }

  #hasWanted(): boolean {
    for (let piece = this.#firstWanted; piece < this.#windowEnd; piece += 1) {
      if (this.#states[piece] === WANTED) return true;
    }
    return false;
  }

  /** The first piece that is wanted, or the end. */
  #advance(): number {
    while (this.#firstWanted < this.#count && this.#states[this.#firstWanted] !== WANTED) {
      this.#firstWanted += 1;
    }
    return this.#firstWanted;
  }

  get #windowEnd(): number {
    return this.#spool ? this.#count : Math.min(this.#count, this.#consumed + this.#windowPieces);
  }
}

function holds(source: SourceState, piece: number): boolean {
  return source.complete || hasPiece(source.pieces, piece);
}

function queuedBytes({ queue }: SourceState): number {
  return queue.reduce((sum, { bytes }) => sum + bytes, 0);
}
