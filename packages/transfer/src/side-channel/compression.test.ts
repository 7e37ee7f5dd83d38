import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseLevel, LinkRate } from './compression.ts';

const MBIT = 125;
const choose = (linkRate: number | undefined, freeCores = 2, seen?: { level: 1 | 3 | 9; ratio: number }) =>
  chooseLevel({ linkRate, freeCores, seen });

describe('the level', () => {
  test('is none on a fast network, and where the network is not known', () => {
    expect(choose(1_000 * MBIT)).toBe(0);
    expect(choose(undefined)).toBe(0);
  });

  test('is higher on slower networks', () => {
    expect(choose(600 * MBIT, 1)).toBe(1);
    expect(choose(200 * MBIT)).toBe(3);
    expect(choose(20 * MBIT)).toBe(9);
  });

  test('is lower, or none, on busy machines', () => {
    expect(choose(20 * MBIT, 0.1)).toBeLessThan(9);
    expect(choose(600 * MBIT, 0.1)).toBe(0);
  });

  test('is none for what does not become smaller', () => {
    expect(choose(20 * MBIT, 2, { level: 1, ratio: 1.02 })).toBe(0);
  });

  test('never makes anything later than it were uncompressed', () => {
    const seen = fc.option(
      fc.record({
        level: fc.constantFrom(1 as const, 3 as const, 9 as const),
        ratio: fc.double({ min: 1, max: 20, noNaN: true }),
      }),
      { nil: undefined },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200_000 }),
        fc.double({ min: 0, max: 64, noNaN: true }),
        seen,
        (link, cores, s) => {
          const level = chooseLevel({ linkRate: link, freeCores: cores, seen: s });
          const speed = { 0: Number.POSITIVE_INFINITY, 1: 175_000, 3: 104_000, 9: 23_000 }[level];
          expect(speed * Math.max(cores, 0.1)).toBeGreaterThanOrEqual(link);
        },
      ),
    );
  });
});

describe('the rate of a link', () => {
  test('is what it took while it was full', () => {
    const link = new LinkRate();
    expect(link.rate).toBeUndefined();
    for (let turn = 0; turn < 10; turn += 1) link.observe(1_000_000, 50, 60);
    expect(link.rate).toBeCloseTo(20_000, -1);
  });

  test('says little while something else was slower, and is tried anew some time', () => {
    const link = new LinkRate();
    link.observe(1_000_000, 50, 60);
    link.observe(1_000_000, 1, 60);
    expect(link.rate).toBeCloseTo(20_400, -1);
  });
});
