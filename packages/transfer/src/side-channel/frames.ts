import { MAX_CHUNK_BYTES, MAX_ERROR_BYTES, MAX_PATH_BYTES } from '../constants.ts';

/**
 * The side channel's framing, version 1: `kind` (1 byte), length (u32 big-endian), that many bytes.
 * Asking end: `nar` (a store path). Serving end: any number of `data`, then `end` or `error` (code, NUL, message).
 */
export const FRAME_KIND = { nar: 1, data: 2, end: 3, error: 4 } as const;
export type FrameKind = keyof typeof FRAME_KIND;

/** Version in the TLS handshake (ALPN): ends that share none do not get to speak. */
export const SIDE_CHANNEL_ALPN = 'mesh-nar/1';

const HEADER_BYTES = 5;
const LIMITS: Record<FrameKind, number> = {
  nar: MAX_PATH_BYTES,
  data: MAX_CHUNK_BYTES,
  end: 0,
  error: MAX_ERROR_BYTES,
};
const KIND_OF = new Map<number, FrameKind>(
  Object.entries(FRAME_KIND).map(([kind, byte]) => [byte, kind as FrameKind]),
);

/** What arrived cannot be a frame. The connection is of no more use. */
export class FrameError extends Error {}

/** A frame's five bytes of header. */
export function frameHeader(kind: FrameKind, length: number): Uint8Array {
  if (length > LIMITS[kind]) throw new Error(`A ${kind} frame cannot hold ${length} bytes.`);
  const header = new Uint8Array(HEADER_BYTES);
  header[0] = FRAME_KIND[kind];
  new DataView(header.buffer).setUint32(1, length);
  return header;
}

/** A whole frame of a short text. */
export function textFrame(kind: FrameKind, text: string): Uint8Array {
  const body = Buffer.from(text).subarray(0, LIMITS[kind]);
  return Buffer.concat([frameHeader(kind, body.length), body]);
}

/** A piece of a frame: `data` is passed on as it arrives, in pieces; other kinds come whole. */
export interface FramePiece {
  readonly kind: FrameKind;
  readonly bytes: Uint8Array;
}

/** Takes bytes as the network cuts them and gives back frames; data is never copied or collected. */
export class FrameReader {
  readonly #accepted: ReadonlySet<FrameKind>;
  #pending: Uint8Array = new Uint8Array(0);
  #dataLeft = 0;

  /** @param accepted the kinds the other end may send */
  constructor(accepted: Iterable<FrameKind>) {
    this.#accepted = new Set(accepted);
  }

  /** Whether the reader stands between two frames: the only place where a stream may end. */
  get atBoundary(): boolean {
    return this.#dataLeft === 0 && this.#pending.length === 0;
  }

  /** @throws FrameError on an unknown kind, one the other end may not send, or a length over the limit */
  *push(chunk: Uint8Array): Generator<FramePiece, void, undefined> {
    let bytes = chunk;
    while (bytes.length > 0) {
      if (this.#dataLeft > 0) {
        const piece = bytes.subarray(0, this.#dataLeft);
        this.#dataLeft -= piece.length;
        bytes = bytes.subarray(piece.length);
        yield { kind: 'data', bytes: piece };
        continue;
      }
      if (this.#pending.length > 0) {
        bytes = Buffer.concat([this.#pending, bytes]);
        this.#pending = new Uint8Array(0);
      }
      if (bytes.length < HEADER_BYTES) {
        this.#pending = bytes.slice();
        return;
      }
      const { kind, length } = this.#header(bytes);
      if (kind === 'data') {
        this.#dataLeft = length;
        bytes = bytes.subarray(HEADER_BYTES);
        continue;
      }
      if (bytes.length < HEADER_BYTES + length) {
        this.#pending = bytes.slice();
        return;
      }
      const body = bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
      bytes = bytes.subarray(HEADER_BYTES + length);
      yield { kind, bytes: body };
    }
  }

  #header(bytes: Uint8Array): { kind: FrameKind; length: number } {
    const kind = KIND_OF.get(bytes[0]!);
    if (kind === undefined || !this.#accepted.has(kind)) {
      throw new FrameError(`A frame of kind ${bytes[0]} has no place here.`);
    }
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
    if (length > LIMITS[kind])
      throw new FrameError(`A ${kind} frame of ${length} bytes is over the limit of ${LIMITS[kind]}.`);
    return { kind, length };
  }
}
