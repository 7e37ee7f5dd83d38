import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { median, significant } from './statistics.ts';

describe('median', () => {
  test('is the middle one of an odd number of values, whatever their order', () => {
    expect(median([9, 1, 5])).toBe(5);
  });

  test('is the mean of the two in the middle of an even number', () => {
    expect(median([10, 1, 3, 4])).toBe(3.5);
  });

  test('has as many values above as below', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const middle = median(values);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });

  test('of nothing is an error', () => {
    expect(() => median([])).toThrow(expect.objectContaining({ code: 'BENCH_NO_RUNS' }));
  });
});

test('three significant digits are kept, and all of those before the point', () => {
  expect([0.012345, 1.2345, 123.45, 12345.6].map(significant)).toEqual([0.0123, 1.23, 123, 12346]);
});
