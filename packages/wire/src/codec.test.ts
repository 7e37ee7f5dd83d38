import fc from 'fast-check';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { decode, decodeUnchecked, encode, MAX_CBOR_DEPTH } from './codec.ts';
import { WireError } from './wire-error.ts';

const personSchema = v.object({ name: v.string(), age: v.optional(v.number()) });

describe('codec', () => {
  it('what is encoded decodes to itself', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.maxSafeInteger(),
        fc.boolean(),
        fc.constant(null),
        fc.uint8Array({ maxLength: 40 }),
        fc.array(tie('any'), { maxLength: 5 }),
        fc.dictionary(
          fc.string({ maxLength: 10 }).filter((key) => key !== '__proto__'),
          tie('any'),
          {
            maxKeys: 5,
            noNullPrototype: true,
          },
        ),
      ),
    })).any;
    fc.assert(
      fc.property(value, (original) => {
        expect(decodeUnchecked(encode(original))).toEqual(original);
      }),
    );
  });

  it('encodes the same value to the same bytes, whatever the order of its keys', () => {
    expect(encode({ b: 1, a: 2 })).toEqual(encode({ a: 2, b: 1 }));
  });

  it('drops fields it does not know', () => {
    expect(decode(personSchema, encode({ name: 'a', later: 1 }))).toEqual({ name: 'a' });
  });

  it('leaves undefined fields out', () => {
    expect(decode(personSchema, encode({ name: 'a', age: undefined }))).toEqual({ name: 'a' });
  });

  it('names the field that is wrong and does not quote it', () => {
    expect(() => decode(personSchema, encode({ name: 'a', age: 'secret' }))).toThrow(
      /^A message does not follow its schema at field "age"\.$/,
    );
  });

  it('says of another version what to do', () => {
    const versioned = v.object({ version: v.literal(1), name: v.string() });
    expect(() => decode(versioned, encode({ version: 2, title: 'a' }))).toThrow(
      expect.objectContaining({
        code: 'WIRE_BAD_MESSAGE',
        message: 'A message has version 2, and this agent knows version 1: upgrade the older of the two.',
      }),
    );
  });

  it.each([
    ['integer not in its shortest form', [0x18, 0x01]],
    ['indefinite length', [0x9f, 0x01, 0xff]],
    ['trailing bytes', [0x01, 0x01]],
    ['truncated text', [0x65, 0x61]],
    ['the same key twice', [0xa2, 0x61, 0x61, 0x01, 0x61, 0x61, 0x02]],
    ['nothing at all', []],
    ['not a number', [0xf9, 0x7e, 0x00]],
    ['an array of four thousand million with nothing in it', [0x9a, 0xff, 0xff, 0xff, 0xff]],
  ])('refuses %s', (_what, bytes) => {
    expect(() => decodeUnchecked(Uint8Array.from(bytes))).toThrow(
      expect.objectContaining({ code: 'WIRE_BAD_MESSAGE' }),
    );
  });

  it('refuses a million nested arrays without exhausting the stack', () => {
    expect(() => decodeUnchecked(new Uint8Array(1_000_000).fill(0x81))).toThrow(/nests deeper/);
  });

  it(`accepts ${MAX_CBOR_DEPTH} levels`, () => {
    const bytes = new Uint8Array(MAX_CBOR_DEPTH + 1).fill(0x81);
    bytes[MAX_CBOR_DEPTH] = 0x01;
    expect(decodeUnchecked(bytes)).toBeInstanceOf(Array);
  });

  it('arbitrary bytes either decode or are refused as a bad message', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeUnchecked(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
