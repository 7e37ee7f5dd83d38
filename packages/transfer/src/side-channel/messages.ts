import {
  BATCH_HEAD_BYTES,
  BATCH_PATH_HEAD_BYTES,
  FrameError,
  frame,
  frameHeader,
  RANGE_HEAD_BYTES,
} from './frames.ts';
import {
  MAX_BATCH_BYTES,
  MAX_BATCH_PATHS,
  MAX_BITMAP_BYTES,
  MAX_DATA_BYTES,
  MAX_ERROR_BYTES,
  MAX_FETCHERS,
  MAX_PATH_BYTES,
  MAX_PEER_ID_BYTES,
  MAX_RANGE_BYTES,
} from './limits.ts';
import type { NarBatch, NarHolding, NarRange } from './ranges.ts';

/*
 * Bodies of the side channel's frames. Numbers are big-endian; texts are UTF-8.
 * range: id u32, flags u8, offset u64, bytes u64, path. batch: id u32, flags u8, bytes u64, then with a u16 of length each path. cancel, end: id u32. error: id u32, code, NUL, message.
 * watch, unwatch: path. packed: raw length u32, one zstd frame. holding: flags u8, then with a u16 of length each path and bitmap, then
 * the u16 number of fetchers and each with a u8 of length. Unknown flags are ignored, and so is what follows a holding's last fetcher.
 */

/** A range as it was asked for. */
export interface RangeRequest extends NarRange {
  /** The asker's own number for it. */
  readonly id: number;
  /** Whether the answer may be compressed. */
  readonly zstd: boolean;
}

/** A batch as it was asked for. */
export interface BatchRequest extends NarBatch {
  readonly id: number;
  readonly zstd: boolean;
}

/** Why a range was not sent. */
export interface RangeError {
  readonly id: number;
  readonly code: string;
  readonly message: string;
}

/** The code of a range that its asker cancelled. */
export const CANCELLED = 'TRANSFER_CANCELLED';

const FLAG_ZSTD = 1;
const FLAG_COMPLETE = 1;

export function rangeFrame({ id, path, offset, bytes, zstd }: RangeRequest): Uint8Array {
  const name = Buffer.from(path);
  const body = Buffer.alloc(RANGE_HEAD_BYTES + name.length);
  body.writeUInt32BE(id, 0);
  body.writeUInt8(zstd ? FLAG_ZSTD : 0, 4);
  body.writeBigUInt64BE(BigInt(offset), 5);
  body.writeBigUInt64BE(BigInt(bytes), 13);
  body.set(name, RANGE_HEAD_BYTES);
  return frame('range', body);
}

/** @throws FrameError where this can be no request */
export function readRange(bytes: Uint8Array): RangeRequest {
  const body = view(bytes);
  if (body.length <= RANGE_HEAD_BYTES) throw new FrameError('a range of no path');
  const offset = Number(body.readBigUInt64BE(5));
  const length = Number(body.readBigUInt64BE(13));
  if (!Number.isSafeInteger(offset + length) || length > MAX_RANGE_BYTES) {
    throw new FrameError(`a range of ${length} bytes from ${offset}`);
  }
  return {
    id: body.readUInt32BE(0),
    zstd: (body.readUInt8(4) & FLAG_ZSTD) !== 0,
    offset,
    bytes: length,
    path: body.toString('utf8', RANGE_HEAD_BYTES),
  };
}

export function batchFrame({ id, paths, bytes, zstd }: BatchRequest): Uint8Array {
  const names = paths.map((path) => Buffer.from(path));
  const body = Buffer.alloc(
    names.reduce((sum, name) => sum + BATCH_PATH_HEAD_BYTES + name.length, BATCH_HEAD_BYTES),
  );
  body.writeUInt32BE(id, 0);
  body.writeUInt8(zstd ? FLAG_ZSTD : 0, 4);
  body.writeBigUInt64BE(BigInt(bytes), 5);
  let at = BATCH_HEAD_BYTES;
  for (const name of names) {
    body.writeUInt16BE(name.length, at);
    body.set(name, at + BATCH_PATH_HEAD_BYTES);
    at += BATCH_PATH_HEAD_BYTES + name.length;
  }
  return frame('batch', body);
}

/** @throws FrameError where this can be no request */
export function readBatch(bytes: Uint8Array): BatchRequest {
  const body = view(bytes);
  if (body.length < BATCH_HEAD_BYTES) throw new FrameError('a batch without a head');
  const paths: string[] = [];
  for (let at = BATCH_HEAD_BYTES; at < body.length; ) {
    const end = at + BATCH_PATH_HEAD_BYTES + (at + 1 < body.length ? body.readUInt16BE(at) : 0);
    const isCutShort = at + BATCH_PATH_HEAD_BYTES > body.length || end > body.length;
    if (isCutShort || paths.length === MAX_BATCH_PATHS) throw new FrameError('a batch of more than fits');
    paths.push(body.toString('utf8', at + BATCH_PATH_HEAD_BYTES, end));
    at = end;
  }
  const length = body.readBigUInt64BE(5);
  if (paths.length === 0 || length > MAX_BATCH_BYTES)
    throw new FrameError(`a batch of ${paths.length} paths and ${length} bytes`);
  return {
    id: body.readUInt32BE(0),
    zstd: (body.readUInt8(4) & FLAG_ZSTD) !== 0,
    bytes: Number(length),
    paths,
  };
}

export function idFrame(kind: 'cancel' | 'end', id: number): Uint8Array {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(id);
  return frame(kind, body);
}

/** @throws FrameError where there is none */
export function readId(bytes: Uint8Array): number {
  if (bytes.length !== 4) throw new FrameError(`an id of ${bytes.length} bytes`);
  return view(bytes).readUInt32BE(0);
}

export function errorFrame({ id, code, message }: RangeError): Uint8Array {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(id);
  const text = Buffer.from(`${code}\0${message}`).subarray(0, MAX_ERROR_BYTES);
  return frame('error', Buffer.concat([head, text]));
}

/** @throws FrameError where it is of no range */
export function readError(bytes: Uint8Array): RangeError {
  const body = view(bytes);
  if (body.length < 4) throw new FrameError('an error of no range');
  const [code = '', message = ''] = body.toString('utf8', 4).split('\0', 2);
  return { id: body.readUInt32BE(0), code, message: message === '' ? code : message };
}

export function pathFrame(kind: 'watch' | 'unwatch', path: string): Uint8Array {
  return frame(kind, Buffer.from(path));
}

export function readPath(bytes: Uint8Array): string {
  return view(bytes).toString('utf8');
}

/** The head of a packed frame; the compressed bytes follow. */
export function packedHead(rawBytes: number, packedBytes: number): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(rawBytes);
  return Buffer.concat([frameHeader('packed', 4 + packedBytes), length]);
}

/** @throws FrameError where more is announced than fits a data frame */
export function readPacked(bytes: Uint8Array): { rawBytes: number; packed: Uint8Array } {
  if (bytes.length < 4) throw new FrameError('a packed frame without a length');
  const rawBytes = view(bytes).readUInt32BE(0);
  if (rawBytes === 0 || rawBytes > MAX_DATA_BYTES)
    throw new FrameError(`a packed frame of ${rawBytes} bytes`);
  return { rawBytes, packed: bytes.subarray(4) };
}

/** What one path's watcher is told; fetchers over the limit are left out. */
export function holdingFrame(path: string, { complete, pieces, fetchers }: NarHolding): Uint8Array {
  const name = Buffer.from(path);
  const told = fetchers.slice(0, MAX_FETCHERS).map((fetcher) => Buffer.from(fetcher));
  const numbers = (...values: number[]) => {
    const bytes = Buffer.alloc(2 * values.length);
    for (const [at, value] of values.entries()) bytes.writeUInt16BE(value, 2 * at);
    return bytes;
  };
  return frame(
    'holding',
    Buffer.concat([
      Buffer.of(complete ? FLAG_COMPLETE : 0),
      numbers(name.length),
      name,
      numbers(pieces.length),
      pieces,
      numbers(told.length),
      ...told.flatMap((fetcher) => [Buffer.of(fetcher.length), fetcher]),
    ]),
  );
}

/** @throws FrameError where it is cut short or over a limit */
export function readHolding(bytes: Uint8Array): { path: string; holding: NarHolding } {
  const body = view(bytes);
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > body.length) throw new FrameError('a holding that is cut short');
    at += length;
    return body.subarray(at - length, at);
  };
  const number = (limit: number, what: string): number => {
    const value = take(2).readUInt16BE(0);
    if (value > limit) throw new FrameError(`a holding with ${value} ${what}`);
    return value;
  };
  const complete = (take(1)[0]! & FLAG_COMPLETE) !== 0;
  const path = take(number(MAX_PATH_BYTES, 'bytes of path')).toString('utf8');
  const pieces = new Uint8Array(take(number(MAX_BITMAP_BYTES, 'bytes of bitmap')));
  const fetchers = Array.from({ length: number(MAX_FETCHERS, 'fetchers') }, () => {
    const length = take(1)[0]!;
    if (length > MAX_PEER_ID_BYTES) throw new FrameError(`a peer id of ${length} bytes`);
    return take(length).toString('utf8');
  });
  return { path, holding: { complete, pieces, fetchers } };
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
