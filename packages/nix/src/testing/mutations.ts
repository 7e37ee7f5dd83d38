import fc from 'fast-check';

/** A change to bytes, with places given as fractions so that it fits bytes of any length. */
export type Mutation =
  | { readonly kind: 'set'; readonly at: number; readonly byte: number }
  | { readonly kind: 'cut'; readonly at: number; readonly length: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly length: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'swap'; readonly at: number; readonly length: number }
  | { readonly kind: 'end'; readonly at: number };

const at = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
/** Formats of eight-byte words are hit where it hurts by changes of whole words. */
const length = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(8, 16, 24, 32, 64));
const byte = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255));

/** One to four changes. */
export const arbitraryMutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at, byte }),
    fc.record({ kind: fc.constant('cut' as const), at, length }),
    fc.record({ kind: fc.constant('repeat' as const), at, length }),
    fc.record({
      kind: fc.constant('insert' as const),
      at,
      bytes: fc.uint8Array({ minLength: 1, maxLength: 24 }),
    }),
    fc.record({ kind: fc.constant('swap' as const), at, length }),
    fc.record({ kind: fc.constant('end' as const), at }),
  ),
  { minLength: 1, maxLength: 4 },
);

/** The bytes with the changes made, one after the other. */
export function mutated(bytes: Uint8Array, mutations: readonly Mutation[]): Buffer {
  let result: Buffer = Buffer.from(bytes);
  for (const mutation of mutations) result = changed(result, mutation);
  return result;
}

function changed(bytes: Buffer, mutation: Mutation): Buffer {
  // To a word's start every other time: what is aligned stays aligned.
  const place = Math.floor(mutation.at * bytes.length);
  const start = place % 2 === 0 ? place - (place % 8) : place;
  const [before, after] = [bytes.subarray(0, start), bytes.subarray(start)];
  switch (mutation.kind) {
    case 'set':
      return Buffer.concat([before, Buffer.of(mutation.byte), after.subarray(1)]);
    case 'cut':
      return Buffer.concat([before, after.subarray(mutation.length)]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, mutation.length), after]);
    case 'insert':
      return Buffer.concat([before, mutation.bytes, after]);
    case 'swap': {
      const [first, second] = [after.subarray(0, mutation.length), after.subarray(mutation.length)];
      const swapped = second.subarray(0, mutation.length);
      return Buffer.concat([before, swapped, first, second.subarray(swapped.length)]);
    }
    case 'end':
      return Buffer.from(before);
  }
}

/** Bytes in pieces, cut at these fractions. */
export function pieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = cuts.map((cut) => Math.floor(cut * bytes.length)).toSorted((a, b) => a - b);
  return [...places, bytes.length].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end));
}

export const arbitraryCuts: fc.Arbitrary<number[]> = fc.array(at, { maxLength: 12 });
