import { textOfBytes } from '../byte-text.ts';

/** Thrown by a {@link ByteReader} where the bytes end before the value does. */
export class BytesEnd extends Error {}

/** Reads the worker protocol's values from bytes that are all there, or are not enough yet. */
export class ByteReader {
  readonly #bytes: Buffer;
  /** How much has been read. */
  at = 0;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  /** Inexact from 2^53 on. */
  u64(): number {
    if (this.left < 8) throw new BytesEnd();
    const value = this.#bytes.readUInt32LE(this.at) + this.#bytes.readUInt32LE(this.at + 4) * 0x1_0000_0000;
    this.at += 8;
    return value;
  }

  flag(): boolean {
    return this.u64() !== 0;
  }

  string(): string {
    const length = this.u64();
    if (length > this.left) throw new BytesEnd();
    const text = textOfBytes(this.#bytes.subarray(this.at, this.at + length));
    const padded = length + ((8 - (length % 8)) % 8);
    if (padded > this.left) throw new BytesEnd();
    this.at += padded;
    return text;
  }

  strings(): string[] {
    return this.list(() => this.string());
  }

  list<T>(item: () => T): T[] {
    const items: T[] = [];
    for (let left = this.u64(); left > 0; left--) items.push(item());
    return items;
  }
}
