import { WireError } from './wire-error.ts';

/** Bytes before a frame: its length, big endian. */
export const FRAME_HEADER_BYTES = 4;

/** A frame on a stream: u32 big-endian length, then that many bytes. */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/** Cuts a stream of bytes into frames, however the bytes were chunked on their way. Holds at most what was pushed and not yet taken. */
export class FrameDecoder {
  readonly #maxFrameBytes: number;
  #chunks: Uint8Array[] = [];
  #head = 0;
  #offset = 0;
  #bufferedBytes = 0;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes that belong to frames not taken yet. Zero at the end of a stream means that it ended between frames. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#bufferedBytes += bytes.length;
  }

  /**
   * The next whole frame's payload, or undefined until more bytes come.
   * @throws {WireError} `WIRE_FRAME_TOO_LARGE` as soon as the header of an oversized frame is there
   */
  next(): Uint8Array | undefined {
    if (this.#bufferedBytes < FRAME_HEADER_BYTES) return undefined;
    let length = 0;
    for (let i = 0; i < FRAME_HEADER_BYTES; i++) length = length * 256 + this.#peek(i);
    if (length > this.#maxFrameBytes) {
      throw new WireError(
        'WIRE_FRAME_TOO_LARGE',
        `A frame of ${length} bytes is larger than the ${this.#maxFrameBytes} bytes its protocol allows.`,
      );
    }
    if (this.#bufferedBytes < FRAME_HEADER_BYTES + length) return undefined;
    this.#take(FRAME_HEADER_BYTES);
    return this.#take(length);
  }

  #peek(ahead: number): number {
    let index = this.#head;
    let at = this.#offset + ahead;
    while (at >= this.#chunks[index]!.length) at -= this.#chunks[index++]!.length;
    return this.#chunks[index]![at]!;
  }

  #take(length: number): Uint8Array {
    const taken = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const chunk = this.#chunks[this.#head]!;
      const part = chunk.subarray(this.#offset, this.#offset + length - filled);
      taken.set(part, filled);
      filled += part.length;
      this.#offset += part.length;
      if (this.#offset === chunk.length) {
        this.#head++;
        this.#offset = 0;
      }
    }
    this.#bufferedBytes -= length;
    // Consumed chunks are dropped in batches: shifting an array one by one is quadratic.
    if (this.#head > 64 || this.#head === this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
    return taken;
  }
}
