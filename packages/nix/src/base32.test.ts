import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBase32, encodeBase32 } from './base32.ts';

test('the SHA-256 of nothing reads as Nix prints it', () => {
  const hash = createHash('sha256').digest();
  expect(encodeBase32(hash)).toBe('0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73');
});

test('decoding gives the encoded bytes back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      expect([...decodeBase32(encodeBase32(bytes))]).toEqual([...bytes]);
    }),
  );
});

test('every text that decodes is the one encoding of its bytes', () => {
  const digit = fc.constantFrom(...'0123456789abcdfghijklmnpqrsvwxyz');
  fc.assert(
    fc.property(fc.string({ unit: digit, maxLength: 60 }), (text) => {
      let bytes: Uint8Array;
      try {
        bytes = decodeBase32(text);
      } catch {
        return;
      }
      expect(encodeBase32(bytes)).toBe(text);
    }),
  );
});

test.each([
  ['a letter outside the alphabet', '0e'],
  ['an impossible length', '000'],
  ['bits after the last byte', 'zz'],
])('%s is refused', (_, text) => {
  expect(() => decodeBase32(text)).toThrow(expect.objectContaining({ code: 'NIX_BAD_BASE32' }));
});
