import type { NixError } from '../errors.ts';
import { MAX_FRAME_BYTES, MAX_PASSING_STRING_BYTES, MAX_PASSING_STRINGS } from './constants.ts';

/**
 * One thing in a message of the worker protocol: a number, a string, a list whose items are `each` strings, frames up to the
 * empty one, the fields of an activity, or the traces of an error.
 */
export type Field = 'number' | 'string' | 'frames' | 'activity-fields' | 'traces' | { readonly each: number };
export type Layout = readonly Field[];

/**
 * Finds where values end in a stream that is cut anywhere, keeping nothing of them but the last plain number.
 * A number is 8 bytes little-endian; a string is its length, its bytes and zeros to a multiple of 8.
 */
export class FieldWalker {
  /** The last number of the layout itself; inexact from 2^53 on. */
  value = 0;
  readonly #violation: (what: string) => NixError;
  readonly #cut = Buffer.alloc(8);
  #cutBytes = 0;
  #layout: Layout = [];
  #next = 0;
  #skip = 0;
  #strings = 0;
  #frames = false;
  #activityFields = 0;
  #traces = 0;
  #number = 0;

  /** @param violation makes the error for what nothing real sends */
  constructor(violation: (what: string) => NixError) {
    this.#violation = violation;
  }

  /** Starts over, at the first byte of the layout's first field. */
  begin(layout: Layout): void {
    this.#layout = layout;
    this.#next = 0;
  }

  /** Everything of the layout has been walked over. */
  get done(): boolean {
    return (
      this.#next === this.#layout.length &&
      this.#skip === 0 &&
      this.#strings === 0 &&
      !this.#frames &&
      this.#activityFields === 0 &&
      this.#traces === 0
    );
  }

  /**
   * Walks on from `at` to the layout's end or the chunk's.
   * @returns where it stopped
   * @throws NixError for a length that is beyond the limits
   */
  walk(chunk: Buffer, at: number): number {
    for (;;) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        if (this.#skip > 0) return at;
      }
      const field = this.#due();
      if (field === undefined) return at;
      const after = this.#readNumber(chunk, at);
      if (after === -1) return chunk.length;
      at = after;
      this.#take(field);
    }
  }

  /** What the next number is for. */
  #due(): Field | 'field-type' | 'trace' | undefined {
    if (this.#strings > 0) return 'string';
    if (this.#frames) return 'frames';
    if (this.#activityFields > 0) return 'field-type';
    if (this.#traces > 0) return 'trace';
    return this.#layout[this.#next];
  }

  #take(due: Field | 'field-type' | 'trace'): void {
    const number = this.#number;
    if (due === 'string') {
      if (this.#strings > 0) this.#strings -= 1;
      else this.#next += 1;
      this.#skip = this.#padded(number);
    } else if (due === 'number') {
      this.#next += 1;
      this.value = number;
    } else if (due === 'frames') {
      if (number > MAX_FRAME_BYTES) throw this.#violation(`a frame of ${number} bytes`);
      if (!this.#frames) this.#next += 1;
      this.#frames = number > 0;
      this.#skip = number;
    } else if (due === 'field-type') {
      this.#activityFields -= 1;
      if (number === 0) this.#skip = 8;
      else if (number === 1) this.#strings = 1;
      else throw this.#violation(`a field of the unknown type ${number}`);
    } else if (due === 'trace') {
      this.#traces -= 1;
      if (number !== 0) throw this.#violation('an error with a source position');
      this.#strings = 1;
    } else {
      const strings = number * (typeof due === 'object' ? due.each : 1);
      if (strings > MAX_PASSING_STRINGS) throw this.#violation(`a list of ${number} items`);
      this.#next += 1;
      if (due === 'activity-fields') this.#activityFields = number;
      else if (due === 'traces') this.#traces = number;
      else this.#strings = strings;
    }
  }

  #padded(length: number): number {
    if (length > MAX_PASSING_STRING_BYTES) throw this.#violation(`a string of ${length} bytes`);
    return length + ((8 - (length % 8)) % 8);
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
