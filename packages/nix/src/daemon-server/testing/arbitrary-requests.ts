import fc from 'fast-check';
import { wire } from '../../daemon/testing/wire-bytes.ts';

const digits = fc.string({
  unit: fc.constantFrom(...'0123456789abcdfghijklmnpqrsvwxyz'),
  minLength: 32,
  maxLength: 32,
});
export const storePath = fc
  .tuple(digits, fc.constantFrom('a', 'hello-2.12', 'x.drv'))
  .map(([hash, name]) => `/nix/store/${hash}-${name}`);
const text = fc.string({ unit: 'grapheme', maxLength: 30 });
const number = fc.nat(7).map((value) => wire(value));
const one = fc.oneof(storePath, text).map((value) => wire(value));
const list = (members: number) =>
  fc
    .array(fc.array(text, { minLength: members, maxLength: members }), { maxLength: 4 })
    .map((items) => wire(items.length, ...items.flat()));
const frames = fc
  .array(fc.uint8Array({ minLength: 1, maxLength: 100 }), { maxLength: 4 })
  .map((parts) => Buffer.concat([...parts.flatMap((part) => [wire(part.length), part]), wire(0)]));

/** What follows each operation's number as clients of protocols 1.34 to 1.38 without features send it. */
const REQUESTS: Readonly<Record<number, readonly fc.Arbitrary<Uint8Array>[]>> = {
  1: [one],
  6: [one],
  7: [one, one, list(1), number, frames],
  8: [one, one, list(1)],
  9: [list(1), number],
  10: [one],
  11: [one],
  12: [one],
  13: [],
  14: [],
  18: [one],
  19: [...Array.from({ length: 12 }, () => number), list(2)],
  20: [number, list(1), number, number, number, number, number],
  21: [one],
  22: [one],
  23: [],
  26: [one],
  28: [one],
  29: [one],
  30: [list(2)],
  31: [list(1), number],
  32: [list(1)],
  33: [one],
  34: [],
  35: [number, number],
  36: [one, list(4), list(1), one, one, list(1), list(2), number],
  37: [one, list(1)],
  38: [one],
  39: [one, one, one, list(1), number, number, number, list(1), one, number, number, frames],
  40: [list(1)],
  41: [one],
  42: [one],
  43: [one],
  44: [number, number, frames],
  45: [one, frames],
  46: [list(1), number],
  47: [one, one],
};

/** A whole request of any operation. */
export const arbitraryRequest: fc.Arbitrary<Buffer> = fc
  .constantFrom(...Object.keys(REQUESTS).map(Number))
  .chain((operation) =>
    fc.tuple(...REQUESTS[operation]!).map((parts) => Buffer.concat([wire(operation), ...parts])),
  );

/** Bytes in pieces, cut where the fractions say. */
export function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)), bytes.length].sort(
    (a, b) => a - b,
  );
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

export const arbitraryCuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
