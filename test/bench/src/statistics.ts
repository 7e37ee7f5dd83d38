import { BenchError } from './errors.ts';

/**
 * The middle of the sorted values; the mean of the two in the middle where their number is even.
 * @throws {BenchError} `BENCH_NO_RUNS` for no values: nothing was measured.
 */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) {
    throw new BenchError(
      'BENCH_NO_RUNS',
      'A figure has no runs to take the median of; ask for at least one run.',
    );
  }
  return (lower + upper) / 2;
}

/** Rounds to three significant digits, integers to themselves: what these measurements can carry at most. */
export function significant(value: number): number {
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}
