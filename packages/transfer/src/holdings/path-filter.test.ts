import { createHash } from 'node:crypto';
import { decodeBase32, encodeBase32 } from '@mesh/nix';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashOfPart, hashOfPath, PathFilter } from './path-filter.ts';

const hash = fc.uint8Array({ minLength: 20, maxLength: 20 });

/** As good as random, and the same in every run. */
function hashNumber(number: number): Uint8Array {
  return createHash('sha1').update(`${number}`).digest();
}

describe('the filter over store paths', () => {
  test('has whatever was added, ever', () => {
    fc.assert(
      fc.property(fc.array(hash, { maxLength: 200 }), fc.integer({ min: 0, max: 400 }), (hashes, sized) => {
        const filter = PathFilter.sizedFor(sized);
        for (const each of hashes) filter.add(each);
        for (const each of hashes) expect(filter.has(each)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('says that adding changed nothing exactly when it seemed to have the path before', () => {
    const filter = new PathFilter({ bits: 512, hashes: 3 });
    for (let i = 0; i < 300; i++) {
      const seemed = filter.has(hashNumber(i));
      expect(filter.add(hashNumber(i))).toBe(!seemed);
    }
  });

  test.each([
    ['begins', 0.5],
    ['is full', 1],
  ])('guesses wrongly about as often as calculated when it %s', (_, part) => {
    const filter = PathFilter.sizedFor(10_000);
    const paths = filter.capacity * part;
    for (let i = 0; i < paths; i++) filter.add(hashNumber(i));
    const asked = 50_000;
    let wrong = 0;
    for (let i = 0; i < asked; i++) if (filter.has(hashNumber(1_000_000 + i))) wrong += 1;
    const expected = (1 - Math.exp((-filter.hashes * paths) / filter.bits)) ** filter.hashes;
    expect(wrong / asked).toBeGreaterThan(expected * 0.6);
    expect(wrong / asked).toBeLessThan(expected * 1.5 + 0.0005);
    expect(filter.fill ** filter.hashes).toBeCloseTo(expected, 3);
  });

  test('a copy made of its bytes has the same', () => {
    fc.assert(
      fc.property(fc.array(hash, { minLength: 1, maxLength: 50 }), (hashes) => {
        const filter = PathFilter.sizedFor(0);
        for (const each of hashes) filter.add(each);
        const copy = new PathFilter(filter);
        copy.fillIn(0, filter.bytes.slice(0, 1_000));
        copy.fillIn(1_000, filter.bytes.slice(1_000));
        expect(copy.fill).toBe(filter.fill);
        for (const each of hashes) expect(copy.has(each)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test('is bounded, however many paths there are', () => {
    expect(PathFilter.sizedFor(100_000).bytes.length).toBe(250_000);
    expect(PathFilter.sizedFor(1_000_000_000).bytes.length).toBe(4 * 1024 * 1024);
  });
});

describe('the hash part of a path', () => {
  test('is read as Nix writes it', () => {
    fc.assert(
      fc.property(hash, (bytes) => {
        const text = encodeBase32(bytes);
        expect(hashOfPart(text)).toEqual(bytes);
        expect(hashOfPath(`/nix/store/${text}-name`)).toEqual(new Uint8Array(decodeBase32(text)));
      }),
    );
  });

  test.each(['', 'e'.repeat(32), '0'.repeat(31), '0'.repeat(33), '../../../../../etc/passwd0000000'])(
    '%j is none',
    (text) => expect(hashOfPart(text)).toBeUndefined(),
  );
});
