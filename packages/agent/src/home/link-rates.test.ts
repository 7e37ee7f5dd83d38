import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LinkRates } from './link-rates.ts';

const MIB = 1024 * 1024;
const ALICE = 'alice';

/** Rate after so many fetches of 10 MiB at this many bytes a millisecond. */
function after(fetches: number, rate: number, rates = new LinkRates()): number {
  for (let i = 0; i < fetches; i++) rates.fetched(ALICE, 10 * MIB, (10 * MIB) / rate);
  return rates.rateOf(ALICE)!;
}

describe('the rate of the link to a worker', () => {
  it('is unknown until something large was fetched', () => {
    const rates = new LinkRates();
    expect(rates.rateOf(ALICE)).toBeUndefined();
    rates.fetched(ALICE, 10_000, 50);
    expect(rates.rateOf(ALICE)).toBeUndefined();
  });

  it('is what the fetches came to, whether the link is slow or fast', () => {
    for (const rate of [1_000, 12_500, 110_000, 1_000_000]) {
      const measured = after(20, rate);
      expect(measured / rate, `${rate}`).toBeGreaterThan(0.95);
      expect(measured / rate, `${rate}`).toBeLessThan(1.05);
    }
  });

  it('is about right after the first fetches already', () => {
    expect(after(1, 12_500)).toBeLessThan(110_000 / 2);
    expect(after(3, 12_500)).toBeLessThan(12_500 * 2);
  });

  it('is hardly moved by one fetch that met a busy disk', () => {
    const rates = new LinkRates();
    const before = after(20, 100_000, rates);
    rates.fetched(ALICE, 10 * MIB, 600_000);
    expect(before / rates.rateOf(ALICE)!).toBeLessThan(2);
  });

  it('follows a link that has become another one', () => {
    const rates = new LinkRates();
    after(20, 100_000, rates);
    expect(after(12, 1_000, rates)).toBeLessThan(1_500);
  });

  it('stays a sensible number, whatever workers say', () => {
    const absurd = fc.oneof(fc.double(), fc.constantFrom(0, -1, Number.NaN, Number.MAX_VALUE));
    fc.assert(
      fc.property(fc.array(fc.tuple(absurd, absurd)), (fetches) => {
        const rates = new LinkRates();
        for (const [bytes, fetchMs] of fetches) rates.fetched(ALICE, bytes, fetchMs);
        const rate = rates.rateOf(ALICE) ?? 1;
        expect(rate).toBeGreaterThanOrEqual(1);
        expect(rate).toBeLessThanOrEqual(50_000_000 * 1.001);
      }),
    );
  });

  it('is remembered for a bounded number of workers, those heard of last', () => {
    const rates = new LinkRates();
    for (let i = 0; i <= 1_000; i++) rates.fetched(`worker-${i}`, MIB, 10);
    expect(rates.rateOf('worker-0')).toBeUndefined();
    expect(rates.rateOf('worker-1000')).toBeDefined();
  });
});
