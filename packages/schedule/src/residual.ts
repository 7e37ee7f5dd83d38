/** Spreads below count as certain: the formula divides by them. */
const CERTAIN = 0.02;

/**
 * Median of what is left of a build that has run for `elapsedMs`, if its duration is lognormal with median `expectedMs`
 * and `spread` the standard deviation of its logarithm: half of the builds that got this far end within it.
 */
export function medianResidualMs(elapsedMs: number, expectedMs: number, spread: number): number {
  if (elapsedMs <= 0) return expectedMs;
  const overdue = elapsedMs * CERTAIN;
  if (spread < CERTAIN || expectedMs <= 0) return Math.max(expectedMs - elapsedMs, overdue);
  const z = Math.log(elapsedMs / expectedMs) / spread;
  // Far out the hazard of a lognormal is z / (spread * elapsed) (Mills' ratio).
  if (z > 4) return Math.max(overdue, (Math.LN2 * spread * elapsedMs) / z);
  const left = 1 - normalCdf(z);
  const total = expectedMs * Math.exp(spread * normalQuantile(1 - left / 2));
  return Math.max(total - elapsedMs, overdue);
}

/** Share of such builds that run longer than `elapsedMs`. */
export function survival(elapsedMs: number, expectedMs: number, spread: number): number {
  if (elapsedMs <= 0 || expectedMs <= 0) return 1;
  return 1 - normalCdf(Math.log(elapsedMs / expectedMs) / Math.max(spread, CERTAIN));
}

/** Abramowitz and Stegun 26.2.17; off by 7.5e-8 at most. */
export function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const poly =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const upper = 0.3989422804014327 * Math.exp((-z * z) / 2) * poly;
  return z >= 0 ? 1 - upper : upper;
}

/** Abramowitz and Stegun 26.2.23; off by 4.5e-4 at most. */
export function normalQuantile(p: number): number {
  const tail = Math.min(p, 1 - p);
  if (tail <= 0) return p < 0.5 ? -8 : 8;
  const t = Math.sqrt(-2 * Math.log(tail));
  const z =
    t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  return p < 0.5 ? -z : z;
}
