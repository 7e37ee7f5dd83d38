import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readRange } from './byte-range.ts';

test.each([
  ['bytes=0-0', { first: 0, last: 0 }],
  ['bytes=10-', { first: 10, last: 99 }],
  ['bytes=10-19', { first: 10, last: 19 }],
  ['bytes=10-1000', { first: 10, last: 99 }],
  ['bytes=-10', { first: 90, last: 99 }],
  ['bytes=-1000', { first: 0, last: 99 }],
  ['bytes=100-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=19-10', 'whole'],
  ['bytes=-', 'whole'],
  ['bytes=0-0,5-6', 'whole'],
  ['lines=1-2', 'whole'],
  ['bytes=1e3-', 'whole'],
  [undefined, 'whole'],
])('of 100 bytes, %s is %j', (header, range) => {
  expect(readRange(header, 100)).toEqual(range);
});

test('whatever is asked, what is sent lies within the body', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => `bytes=${a}-${b}`),
        fc.nat().map((n) => `bytes=-${n}`),
      ),
      fc.integer({ min: 1, max: 1_000 }),
      (header, bytes) => {
        const range = readRange(header, bytes);
        if (typeof range === 'string') return;
        expect(range.first).toBeGreaterThanOrEqual(0);
        expect(range.last).toBeGreaterThanOrEqual(range.first);
        expect(range.last).toBeLessThan(bytes);
      },
    ),
  );
});
