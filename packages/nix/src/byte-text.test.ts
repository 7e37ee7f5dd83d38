import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesOfText, textOfBytes, textOfLatin1 } from './byte-text.ts';

test('any bytes survive being text', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      expect([...bytesOfText(textOfBytes(bytes))]).toEqual([...bytes]);
    }),
    { numRuns: 1000 },
  );
});

test('text cut anywhere in its bytes survives', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'az\0éÿ€𝄞'), maxLength: 10 }),
      fc.nat(40),
      fc.nat(40),
      (text, from, to) => {
        const bytes = Buffer.from(text).subarray(from, to);
        expect([...bytesOfText(textOfBytes(bytes))]).toEqual([...bytes]);
      },
    ),
    { numRuns: 1000 },
  );
});

test('UTF-8 is read as itself, a stray byte as a lone surrogate', () => {
  expect(textOfBytes(Buffer.from('naïve €𝄞'))).toBe('naïve €𝄞');
  expect(textOfLatin1('caf\xe9!')).toBe('caf\udce9!');
});
