import type { NixError } from '../errors.ts';
import { NarParser } from '../nar-parser.ts';
import { MAX_FRAME_BYTES, MAX_PASSING_ITEMS, MAX_PASSING_STRING_BYTES } from './constants.ts';

/**
 * One thing in a message of the worker protocol: a number, a string, frames up to the empty one, a NAR, a field of an activity
 * (its type, then a number or a string), a list with the layout of its items, or what is there where the number before it is not 0.
 */
export type Field =
  | 'number'
  | 'string'
  | 'frames'
  | 'nar'
  | 'activity-field'
  | { readonly each: Layout }
  | { readonly optional: Layout };
export type Layout = readonly Field[];

/** A layout that is being walked over, and how often it comes yet. */
interface Level {
  readonly layout: Layout;
  next: number;
  left: number;
}

const NUMBER: Layout = ['number'];
const STRING: Layout = ['string'];

/**
 * Finds where values end in a stream that is cut anywhere, keeping nothing of them but the last plain number.
 * A number is 8 bytes little-endian; a string is its length, its bytes and zeros to a multiple of 8; a frame has no zeros.
 */
export class FieldWalker {
  /** The last number; inexact from 2^53 on. */
  value = 0;
  readonly #violation: (what: string) => NixError;
  readonly #cut = Buffer.alloc(8);
  #cutBytes = 0;
  #levels: Level[] = [];
  #skip = 0;
  #frames = false;
  #nar: NarParser | undefined;
  #number = 0;

  /** @param violation makes the error for what nothing real sends */
  constructor(violation: (what: string) => NixError) {
    this.#violation = violation;
  }

  /** Starts over, at the first byte of the layout's first field. */
  begin(layout: Layout): void {
    this.#levels = [];
    this.#push(layout, 1);
  }

  /** Everything of the layout has been walked over. */
  get done(): boolean {
    return this.#levels.length === 0 && this.#skip === 0 && !this.#frames && this.#nar === undefined;
  }

  /**
   * Walks on from `at` to the layout's end or the chunk's.
   * @returns where it stopped
   * @throws NixError for a length that is beyond the limits, NIX_BAD_NAR
   */
  walk(chunk: Buffer, at: number): number {
    for (;;) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        if (this.#skip > 0) return at;
      }
      if (this.#nar !== undefined) {
        at += this.#nar.push(chunk.subarray(at));
        if (!this.#nar.done) return at;
        this.#nar = undefined;
      }
      if (!this.#frames) {
        const level = this.#levels.at(-1);
        if (level === undefined) return at;
        if (level.layout[level.next] === 'nar') {
          this.#nar = new NarParser();
          this.#advance(level);
          continue;
        }
      }
      const after = this.#readNumber(chunk, at);
      if (after === -1) return chunk.length;
      at = after;
      if (this.#frames) this.#takeFrame();
      else this.#take(this.#levels.at(-1)!);
    }
  }

  #take(level: Level): void {
    const field = level.layout[level.next]!;
    const number = this.#number;
    this.#advance(level);
    if (field === 'string') {
      if (number > MAX_PASSING_STRING_BYTES) throw this.#violation(`a string of ${number} bytes`);
      this.#skip = number + ((8 - (number % 8)) % 8);
    } else if (field === 'number') {
      this.value = number;
    } else if (field === 'frames') {
      this.#takeFrame();
    } else if (field === 'activity-field') {
      if (number > 1) throw this.#violation(`a field of the unknown type ${number}`);
      this.#push(number === 0 ? NUMBER : STRING, 1);
    } else if (typeof field === 'object') {
      this.value = number;
      if ('optional' in field) this.#push(field.optional, number === 0 ? 0 : 1);
      else {
        if (number > MAX_PASSING_ITEMS) throw this.#violation(`a list of ${number} items`);
        this.#push(field.each, number);
      }
    }
  }

  #takeFrame(): void {
    if (this.#number > MAX_FRAME_BYTES) throw this.#violation(`a frame of ${this.#number} bytes`);
    this.#frames = this.#number > 0;
    this.#skip = this.#number;
  }

  /** Levels at their end are never kept, so that an empty stack is the end. */
  #push(layout: Layout, times: number): void {
    if (times > 0 && layout.length > 0) this.#levels.push({ layout, next: 0, left: times });
  }

  #advance(level: Level): void {
    level.next += 1;
    if (level.next < level.layout.length) return;
    level.next = 0;
    level.left -= 1;
    if (level.left === 0) this.#levels.pop();
  }

  /** @returns where the number ends, or -1 where the chunk ends first */
  #readNumber(chunk: Buffer, at: number): number {
    if (this.#cutBytes === 0 && chunk.length - at >= 8) {
      this.#number = chunk.readUInt32LE(at) + chunk.readUInt32LE(at + 4) * 0x1_0000_0000;
      return at + 8;
    }
    const taken = chunk.copy(this.#cut, this.#cutBytes, at, at + 8 - this.#cutBytes);
    this.#cutBytes += taken;
    if (this.#cutBytes < 8) return -1;
    this.#cutBytes = 0;
    this.#number = this.#cut.readUInt32LE(0) + this.#cut.readUInt32LE(4) * 0x1_0000_0000;
    return at + taken;
  }
}
