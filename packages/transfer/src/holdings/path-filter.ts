import { isStorePath, STORE_DIR } from '@mesh/nix';
import { HASH_BYTES, HOLDINGS_MAX_FILTER_BYTES } from '@mesh/wire';
import { BITS_PER_PATH, HASHES_PER_PATH, MIN_CAPACITY, ROOM_FACTOR } from './constants.ts';

/** Size of a filter: see `holdingsSummarySchema` for how paths are in it. */
export interface FilterShape {
  /** A multiple of 8. */
  readonly bits: number;
  readonly hashes: number;
}

/** A Bloom filter over store paths, by the hash parts of their names, which are good hashes already. */
export class PathFilter implements FilterShape {
  readonly bits: number;
  readonly hashes: number;
  readonly bytes: Uint8Array;
  #ones = 0;

  constructor(shape: FilterShape) {
    this.bits = shape.bits;
    this.hashes = shape.hashes;
    this.bytes = new Uint8Array(shape.bits / 8);
  }

  /** A filter for a store of so many paths, with room to grow, bounded. */
  static sizedFor(paths: number): PathFilter {
    const bytes = Math.ceil((Math.max(paths * ROOM_FACTOR, MIN_CAPACITY) * BITS_PER_PATH) / 8);
    return new PathFilter({
      bits: Math.min(bytes, HOLDINGS_MAX_FILTER_BYTES) * 8,
      hashes: HASHES_PER_PATH,
    });
  }

  /** Paths it may hold before wrong guesses become frequent. */
  get capacity(): number {
    return Math.floor(this.bits / BITS_PER_PATH);
  }

  /** Share of its bits that are set, 0 to 1; to the power of `hashes` it is the share of wrong guesses. */
  get fill(): number {
    return this.#ones / this.bits;
  }

  /** Adds the hash at `at`. @returns whether that changed anything: otherwise the filter seemed to have it already */
  add(hashes: Uint8Array, at = 0): boolean {
    const before = this.#ones;
    const step = readU32(hashes, at + 4) % this.bits;
    let bit = readU32(hashes, at) % this.bits;
    for (let i = 0; i < this.hashes; i++) {
      this.#set(bit);
      bit += step;
      if (bit >= this.bits) bit -= this.bits;
    }
    return this.#ones > before;
  }

  /** Whether the hash at `at` was probably added; if not, it certainly was not. */
  has(hashes: Uint8Array, at = 0): boolean {
    const { bits, bytes } = this;
    const step = readU32(hashes, at + 4) % bits;
    let bit = readU32(hashes, at) % bits;
    for (let i = 0; i < this.hashes; i++) {
      if ((bytes[bit >>> 3]! & (1 << (bit & 7))) === 0) return false;
      bit += step;
      if (bit >= bits) bit -= bits;
    }
    return true;
  }

  /** Fills in bytes of another's filter of the same shape. */
  fillIn(offset: number, page: Uint8Array): void {
    this.bytes.set(page, offset);
    for (const byte of page) this.#ones += onesOf(byte);
  }

  #set(bit: number): void {
    const mask = 1 << (bit & 7);
    if ((this.bytes[bit >>> 3]! & mask) !== 0) return;
    this.bytes[bit >>> 3]! |= mask;
    this.#ones += 1;
  }
}

/** The 20 bytes of a store path's hash part. The path is a store path. */
export function hashOfPath(path: string): Uint8Array {
  const hash = new Uint8Array(HASH_BYTES);
  writeHash(path, STORE_DIR.length + 1, hash, 0);
  return hash;
}

/** The 20 bytes of a hash part of 32 characters; undefined where it is none. */
export function hashOfPart(hashPart: string): Uint8Array | undefined {
  return isStorePath(`${STORE_DIR}/${hashPart}-x`) ? hashOfPath(`${STORE_DIR}/${hashPart}-x`) : undefined;
}

const VALUES = new Uint8Array(128);
for (const [value, digit] of [...'0123456789abcdfghijklmnpqrsvwxyz'].entries()) {
  VALUES[digit.charCodeAt(0)] = value;
}

/** As `decodeBase32` of 32 digits, several times as fast: eight digits, the last ones first, make five bytes. */
function writeHash(text: string, from: number, into: Uint8Array, at: number): void {
  for (let group = 0; group < 4; group++) {
    const last = from + 31 - group * 8;
    const seventh = valueAt(text, last - 6);
    const low =
      valueAt(text, last) |
      (valueAt(text, last - 1) << 5) |
      (valueAt(text, last - 2) << 10) |
      (valueAt(text, last - 3) << 15) |
      (valueAt(text, last - 4) << 20) |
      (valueAt(text, last - 5) << 25) |
      (seventh << 30);
    const byte = at + group * 5;
    into[byte] = low & 255;
    into[byte + 1] = (low >>> 8) & 255;
    into[byte + 2] = (low >>> 16) & 255;
    into[byte + 3] = low >>> 24;
    into[byte + 4] = (seventh >>> 2) | (valueAt(text, last - 7) << 3);
  }
}

function valueAt(text: string, index: number): number {
  return VALUES[text.charCodeAt(index) & 127]!;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function onesOf(byte: number): number {
  let ones = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) ones += 1;
  return ones;
}
