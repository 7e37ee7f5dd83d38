import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { medianResidualMs, normalCdf, normalQuantile, survival } from './residual.ts';

const expectedMs = fc.double({ min: 1, max: 1e9, noNaN: true });
const elapsedShare = fc.double({ min: 0, max: 1e4, noNaN: true });
const spread = fc.double({ min: 0, max: 5, noNaN: true });

describe('what is left of a running build', () => {
  it('is all of it when it has just begun', () => {
    fc.assert(
      fc.property(expectedMs, spread, (ms, s) => {
        expect(medianResidualMs(0, ms, s)).toBe(ms);
      }),
    );
  });

  it('is the rest where the duration is certain', () => {
    expect(medianResidualMs(4_000, 10_000, 0)).toBe(6_000);
  });

  it('is never nothing: what has not ended may go on for a while', () => {
    fc.assert(
      fc.property(expectedMs, elapsedShare, spread, (ms, share, s) => {
        const left = medianResidualMs(ms * share, ms, s);
        expect(left).toBeGreaterThan(0);
        expect(Number.isFinite(left)).toBe(true);
      }),
    );
  });

  it('grows once the build is overdue, the more the less certain it was', () => {
    const left = (elapsed: number, s: number) => medianResidualMs(elapsed, 10_000, s);
    expect(left(40_000, 1)).toBeGreaterThan(left(20_000, 1));
    expect(left(40_000, 1)).toBeGreaterThan(left(40_000, 0.5));
    expect(left(40_000, 0.5)).toBeGreaterThan(left(40_000, 0.1));
  });

  it('has no jump where the formula for the far tail takes over', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.1, max: 2, noNaN: true }), (s) => {
        const at = 10_000 * Math.exp(4 * s);
        const [before, after] = [
          medianResidualMs(at * 0.999, 10_000, s),
          medianResidualMs(at * 1.001, 10_000, s),
        ];
        expect(after / before).toBeGreaterThan(0.8);
        expect(after / before).toBeLessThan(1.25);
      }),
    );
  });

  it('is the median: half of those that got so far end within it', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        fc.double({ min: 0.2, max: 2, noNaN: true }),
        (share, s) => {
          const elapsed = 10_000 * share;
          fc.pre(survival(elapsed, 10_000, s) > 1e-3);
          const end = elapsed + medianResidualMs(elapsed, 10_000, s);
          const half = survival(end, 10_000, s) / survival(elapsed, 10_000, s);
          fc.pre(end > elapsed * 1.021);
          expect(half).toBeCloseTo(0.5, 1);
        },
      ),
    );
  });
});

describe('survival', () => {
  it('is a half at the median and falls from 1 to 0', () => {
    expect(survival(10_000, 10_000, 1)).toBeCloseTo(0.5, 6);
    fc.assert(
      fc.property(expectedMs, elapsedShare, elapsedShare, spread, (ms, a, b, s) => {
        const [early, late] = [Math.min(a, b) * ms, Math.max(a, b) * ms];
        expect(survival(early, ms, s)).toBeGreaterThanOrEqual(survival(late, ms, s) - 1e-7);
        expect(survival(late, ms, s)).toBeGreaterThanOrEqual(-1e-7);
        expect(survival(early, ms, s)).toBeLessThanOrEqual(1 + 1e-7);
      }),
    );
  });
});

describe('the normal distribution', () => {
  it('has the values of the tables', () => {
    expect(normalCdf(0)).toBeCloseTo(0.5, 6);
    expect(normalCdf(1)).toBeCloseTo(0.8413447, 6);
    expect(normalCdf(-1.96)).toBeCloseTo(0.0249979, 6);
    expect(normalQuantile(0.975)).toBeCloseTo(1.95996, 3);
  });

  it('has a quantile that undoes it', () => {
    fc.assert(
      fc.property(fc.double({ min: -3.5, max: 3.5, noNaN: true }), (z) => {
        expect(normalQuantile(normalCdf(z))).toBeCloseTo(z, 2);
      }),
    );
  });
});
