import { bytesOfText } from '../byte-text.ts';
import { parseStorePath } from '../store-path.ts';

/**
 * Collects one request and gives it as one buffer, so that an operation costs one write.
 * Integers are 8 bytes little-endian; a string is its length, its bytes and zeros to a multiple of 8.
 */
export class WireWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(sizeHintBytes = 512) {
    this.#buffer = Buffer.alloc(sizeHintBytes);
  }

  /** Bytes collected so far. */
  get length(): number {
    return this.#length;
  }

  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`${value} is not an unsigned integer`);
    this.#grow(8);
    this.#buffer.writeUInt32LE(value % 0x1_0000_0000, this.#length);
    this.#buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), this.#length + 4);
    this.#length += 8;
    return this;
  }

  flag(value: boolean): this {
    return this.u64(value ? 1 : 0);
  }

  string(text: string): this {
    const bytes = bytesOfText(text);
    this.u64(bytes.length);
    const padded = (bytes.length + 7) & ~7;
    this.#grow(padded);
    bytes.copy(this.#buffer, this.#length);
    this.#buffer.fill(0, this.#length + bytes.length, this.#length + padded);
    this.#length += padded;
    return this;
  }

  strings(texts: Iterable<string>): this {
    const list = Array.isArray(texts) ? (texts as readonly string[]) : [...texts];
    this.u64(list.length);
    for (const text of list) this.string(text);
    return this;
  }

  /**
   * A full store path. Checked here, because a daemon that refuses one stops reading in the middle of the request.
   * @throws NixError NIX_BAD_STORE_PATH
   */
  storePath(path: string): this {
    parseStorePath(path);
    return this.string(path);
  }

  storePaths(paths: readonly string[]): this {
    this.u64(paths.length);
    for (const path of paths) this.storePath(path);
    return this;
  }

  pairs(map: ReadonlyMap<string, string>): this {
    this.u64(map.size);
    for (const [key, value] of map) this.string(key).string(value);
    return this;
  }

  /** Bytes as they are: no length, no padding. */
  raw(bytes: Uint8Array): this {
    this.#grow(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** What was collected; the writer is empty afterwards. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length);
    this.#buffer = Buffer.alloc(512);
    this.#length = 0;
    return taken;
  }

  #grow(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
