import { TransferError } from '../errors.ts';
import { chooseLevel, type Level, type LinkRate } from './compression.ts';
import { frameHeader } from './frames.ts';
import { BLOCK_BYTES, BLOCKS_AHEAD, MAX_DATA_BYTES, RAW_STRETCH_BYTES } from './limits.ts';
import { packedHead, type RangeRequest } from './messages.ts';
import type { PackedBlocks } from './packed-blocks.ts';
import type { NarReader } from './ranges.ts';
import type { UploadTurns } from './upload-turns.ts';

/** Where and how compressed blocks are made; without it nothing is compressed. */
export interface Compressor {
  readonly blocks: PackedBlocks;
  /** Cores without work. */
  readonly freeCores: () => number;
}

export interface RangeSenderInit {
  readonly peerId: string;
  readonly turns: UploadTurns;
  readonly link: LinkRate;
  readonly compressor: Compressor | undefined;
  readonly counters: { rawBytes: number; sentBytes: number };
  readonly now: () => number;
  /** Writes, and resolves when the memory is free again. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Called between two frames. */
  readonly betweenFrames: () => Promise<void>;
  /** Aborts when the connection ends. */
  readonly gone: AbortSignal;
}

interface Packed {
  readonly raw: Uint8Array;
  readonly packed: Uint8Array;
}

/** Sends the bytes of ranges over one connection, each as it is there soonest: as they are, or compressed. */
export class RangeSender {
  readonly #init: RangeSenderInit;
  /** How the NAR that is being sent did so far. */
  #seen: { readonly path: string; readonly level: Level; readonly ratio: number } | undefined;
  #writingMs = 0;

  constructor(init: RangeSenderInit) {
    this.#init = init;
  }

  /** @throws what the reader throws; TransferError TRANSFER_PEER_REFUSED where it gives other than was asked for */
  async send(reader: NarReader, request: RangeRequest, signal: AbortSignal): Promise<void> {
    const end = request.offset + request.bytes;
    for (let at = request.offset; at < end; ) {
      const { now, counters, link } = this.#init;
      const [startMs, sentBefore] = [now(), counters.sentBytes];
      this.#writingMs = 0;
      const level = request.zstd ? this.#level(request.path, reader, at) : 0;
      if (level !== 0 && holdsBlock(reader, at, end)) {
        at = await this.#sendPacked(reader, { ...request, at, end, level }, signal);
      } else {
        const to = level === 0 ? at + RAW_STRETCH_BYTES : (Math.floor(at / BLOCK_BYTES) + 1) * BLOCK_BYTES;
        at = await this.#sendRaw(reader, at, Math.min(end, to), signal);
      }
      link.observe(counters.sentBytes - sentBefore, this.#writingMs, now() - startMs);
    }
  }

  #level(path: string, reader: NarReader, at: number): Level {
    const { compressor, link, turns } = this.#init;
    if (compressor === undefined) return 0;
    const rates = [link.rate, turns.bytesPerMs].filter((rate) => rate !== undefined);
    const kept = compressor.blocks.has(reader.contentId, Math.floor(at / BLOCK_BYTES));
    return chooseLevel({
      linkRate: rates.length === 0 ? undefined : Math.min(...rates),
      // What is kept takes no core at all.
      freeCores: kept ? Number.POSITIVE_INFINITY : Math.min(BLOCKS_AHEAD, compressor.freeCores()),
      seen: this.#seen?.path === path ? this.#seen : undefined,
    });
  }

  async #sendRaw(reader: NarReader, from: number, to: number, signal: AbortSignal): Promise<number> {
    let at = from;
    for await (const chunk of reader.read(from, to - from, signal)) {
      if (at + chunk.length > to) throw refused('its NAR is longer than it was');
      await this.#sendData(chunk, signal);
      at += chunk.length;
    }
    if (at < to) throw refused('its NAR ends too early');
    return to;
  }

  /** Sends whole blocks of the range, some RAW_STRETCH_BYTES of them; the next ones are compressed while one is sent. */
  async #sendPacked(
    reader: NarReader,
    range: { path: string; at: number; end: number; level: Level },
    signal: AbortSignal,
  ): Promise<number> {
    const { path, level } = range;
    const stop = Math.min(range.end, range.at + RAW_STRETCH_BYTES);
    const ahead: Promise<Packed>[] = [];
    let next = range.at;
    for (let at = range.at; ; ) {
      while (ahead.length < BLOCKS_AHEAD && next < stop && holdsBlock(reader, next, range.end)) {
        const raw = await readBlock(reader, next, signal);
        const packing = this.#pack(reader, next, raw, level);
        // Heard of at its turn.
        packing.catch(() => undefined);
        ahead.push(packing);
        next += raw.length;
      }
      const block = await ahead.shift();
      if (block === undefined) return at;
      this.#seen = { path, level, ratio: block.raw.length / block.packed.length };
      await this.#sendBlock(block, signal);
      at += block.raw.length;
    }
  }

  async #pack(reader: NarReader, at: number, raw: Uint8Array, level: Level): Promise<Packed> {
    const blocks = this.#init.compressor!.blocks;
    return { raw, packed: await blocks.pack(reader.contentId, at / BLOCK_BYTES, raw, level) };
  }

  async #sendBlock({ raw, packed }: Packed, signal: AbortSignal): Promise<void> {
    if (packed.length >= raw.length) return this.#sendData(raw, signal);
    const { counters, turns, peerId, gone, betweenFrames } = this.#init;
    signal.throwIfAborted();
    await this.#write(packedHead(raw.length, packed.length));
    for (let at = 0; at < packed.length; ) {
      const part = packed.subarray(at, at + turns.turnBytes);
      // In the middle of a frame only the end of the connection is a reason to stop.
      await turns.take(peerId, part.length, gone);
      await this.#write(part);
      at += part.length;
    }
    counters.rawBytes += raw.length;
    counters.sentBytes += packed.length;
    await betweenFrames();
  }

  async #sendData(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    const { counters, turns, peerId, betweenFrames } = this.#init;
    for (let at = 0; at < chunk.length; ) {
      const bytes = chunk.subarray(at, at + Math.min(turns.turnBytes, MAX_DATA_BYTES));
      await turns.take(peerId, bytes.length, signal);
      // Apart, for a write of several parts is copied into one first.
      await this.#write(frameHeader('data', bytes.length));
      await this.#write(bytes);
      at += bytes.length;
      counters.rawBytes += bytes.length;
      counters.sentBytes += bytes.length;
      await betweenFrames();
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { now, write } = this.#init;
    const startMs = now();
    await write(bytes);
    this.#writingMs += now() - startMs;
  }
}

/** Whether a block begins at an offset that ends, at the latest with the NAR, within the range. */
function holdsBlock(reader: NarReader, at: number, end: number): boolean {
  return at % BLOCK_BYTES === 0 && Math.min(at + BLOCK_BYTES, reader.narBytes) <= end;
}

async function readBlock(reader: NarReader, at: number, signal: AbortSignal): Promise<Uint8Array> {
  const raw = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, reader.narBytes - at));
  let filled = 0;
  for await (const chunk of reader.read(at, raw.length, signal)) {
    if (filled + chunk.length > raw.length) throw refused('its NAR is longer than it was');
    raw.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < raw.length) throw refused('its NAR ends too early');
  return raw;
}

/** A range that cannot be given, for a reason in words. */
export function refused(why: string): TransferError {
  return new TransferError('TRANSFER_PEER_REFUSED', why);
}
