import {
  MAX_BATCH_PATHS,
  MAX_BITMAP_BYTES,
  MAX_DATA_BYTES,
  MAX_ERROR_BYTES,
  MAX_FETCHERS,
  MAX_PACKED_BYTES,
  MAX_PATH_BYTES,
  MAX_PEER_ID_BYTES,
} from './limits.ts';

/**
 * The side channel's framing, version 3: `kind` (1 byte), length (u32 big-endian), that many bytes.
 * Asking end: `range`, `batch`, `cancel`, `watch`, `unwatch`. Serving end, for each range or batch in the order asked: any number of `data` and `packed`,
 * then `end` or `error`; between any two frames `holding`.
 */
export const FRAME_KIND = {
  data: 2,
  end: 3,
  error: 4,
  range: 5,
  cancel: 6,
  watch: 7,
  unwatch: 8,
  packed: 9,
  holding: 10,
  batch: 11,
} as const;
export type FrameKind = keyof typeof FRAME_KIND;

/** Kinds the asking end may send. */
export const ASKED: readonly FrameKind[] = ['range', 'batch', 'cancel', 'watch', 'unwatch'];
/** Kinds the serving end may send. */
export const ANSWERED: readonly FrameKind[] = ['data', 'packed', 'end', 'error', 'holding'];

/** Version in the TLS handshake (ALPN): ends that share none do not get to speak. */
export const SIDE_CHANNEL_ALPN = 'mesh-nar/3';

const HEADER_BYTES = 5;

/** Bytes of a range request before its path. */
export const RANGE_HEAD_BYTES = 21;
/** Bytes of a batch request before its paths, and before each of them. */
export const BATCH_HEAD_BYTES = 13;
export const BATCH_PATH_HEAD_BYTES = 2;

const LIMITS: Record<FrameKind, number> = {
  data: MAX_DATA_BYTES,
  packed: MAX_PACKED_BYTES,
  end: 4,
  error: 4 + MAX_ERROR_BYTES,
  range: RANGE_HEAD_BYTES + MAX_PATH_BYTES,
  batch: BATCH_HEAD_BYTES + MAX_BATCH_PATHS * (BATCH_PATH_HEAD_BYTES + MAX_PATH_BYTES),
  cancel: 4,
  watch: MAX_PATH_BYTES,
  unwatch: MAX_PATH_BYTES,
  holding: 1 + 2 + MAX_PATH_BYTES + 2 + MAX_BITMAP_BYTES + 2 + MAX_FETCHERS * (1 + MAX_PEER_ID_BYTES),
};

const KIND_OF = new Map<number, FrameKind>(
  Object.entries(FRAME_KIND).map(([kind, byte]) => [byte, kind as FrameKind]),
);

/** What arrived cannot be a frame. The connection is of no more use. */
export class FrameError extends Error {}

/** A frame's five bytes of header. */
export function frameHeader(kind: FrameKind, length: number): Uint8Array {
  if (length > LIMITS[kind]) throw new Error(`A ${kind} frame cannot hold ${length} bytes.`);
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header[0] = FRAME_KIND[kind];
  header.writeUInt32BE(length, 1);
  return header;
}

/** A whole frame. */
export function frame(kind: FrameKind, body: Uint8Array): Uint8Array {
  return Buffer.concat([frameHeader(kind, body.length), body]);
}

/** Told what a {@link FrameReader} finds; the bytes are good during the call only. */
export interface FrameHandler {
  /** Part of a `data` frame, as it arrived. */
  data(bytes: Uint8Array): void;
  /** Any other frame, whole. */
  frame(kind: Exclude<FrameKind, 'data'>, body: Uint8Array): void;
}

/** Takes bytes as the network cuts them and tells of frames; data is never copied or collected. */
export class FrameReader {
  readonly #accepted: ReadonlySet<FrameKind>;
  readonly #handler: FrameHandler;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #dataLeft = 0;
  /** A frame that is not yet whole. */
  #kind: Exclude<FrameKind, 'data'> = 'end';
  #body: Uint8Array | undefined;
  #bodyBytes = 0;

  /** @param accepted the kinds the other end may send */
  constructor(accepted: Iterable<FrameKind>, handler: FrameHandler) {
    this.#accepted = new Set(accepted);
    this.#handler = handler;
  }

  /** Whether the reader stands between two frames: the only place where a stream may end. */
  get atBoundary(): boolean {
    return this.#dataLeft === 0 && this.#headerBytes === 0 && this.#body === undefined;
  }

  /** @throws FrameError on an unknown kind, one the other end may not send, or a length over the limit */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#dataLeft > 0) {
        const end = Math.min(chunk.length, at + this.#dataLeft);
        this.#dataLeft -= end - at;
        this.#handler.data(chunk.subarray(at, end));
        at = end;
      } else if (this.#body !== undefined) {
        at += this.#collect(this.#body, chunk.subarray(at));
      } else {
        const taken = Math.min(HEADER_BYTES - this.#headerBytes, chunk.length - at);
        this.#header.set(chunk.subarray(at, at + taken), this.#headerBytes);
        this.#headerBytes += taken;
        at += taken;
        if (this.#headerBytes === HEADER_BYTES) at += this.#begin(chunk.subarray(at));
      }
    }
  }

  /** Begins the frame whose header is complete. @returns bytes used of what follows it */
  #begin(rest: Uint8Array): number {
    this.#headerBytes = 0;
    const kind = KIND_OF.get(this.#header[0]!);
    if (kind === undefined || !this.#accepted.has(kind)) {
      throw new FrameError(`a frame of kind ${this.#header[0]} has no place here`);
    }
    const length = this.#header.readUInt32BE(1);
    if (length > LIMITS[kind]) {
      throw new FrameError(`a ${kind} frame of ${length} bytes is over the limit of ${LIMITS[kind]}`);
    }
    if (kind === 'data') {
      this.#dataLeft = length;
      return 0;
    }
    if (rest.length >= length) {
      this.#handler.frame(kind, rest.subarray(0, length));
      return length;
    }
    this.#kind = kind;
    this.#body = Buffer.allocUnsafe(length);
    this.#bodyBytes = 0;
    return 0;
  }

  #collect(body: Uint8Array, rest: Uint8Array): number {
    const taken = Math.min(body.length - this.#bodyBytes, rest.length);
    body.set(rest.subarray(0, taken), this.#bodyBytes);
    this.#bodyBytes += taken;
    if (this.#bodyBytes === body.length) {
      this.#body = undefined;
      this.#handler.frame(this.#kind, body);
    }
    return taken;
  }
}
