/** A value and how much it counts. */
export interface Weighted {
  readonly value: number;
  readonly weight: number;
}

/** What half the weight lies on each side of; the middle between two where the halves meet exactly. Undefined of nothing. */
export function weightedMedian(values: readonly Weighted[]): number | undefined {
  if (values.length < 2) return values[0]?.value;
  const sorted = values.filter(({ weight }) => weight > 0).sort((a, b) => a.value - b.value);
  const half = sorted.reduce((sum, { weight }) => sum + weight, 0) / 2;
  let sum = 0;
  for (const [index, { value, weight }] of sorted.entries()) {
    sum += weight;
    // Sums of weights are not exact.
    if (Math.abs(sum - half) < half * 1e-9) return (value + (sorted[index + 1]?.value ?? value)) / 2;
    if (sum > half) return value;
  }
  return undefined;
}

/** The median absolute deviation of normally distributed values is this part of their standard deviation. */
const MAD_TO_DEVIATION = 1.4826;

/** Median and robust standard deviation of values; one outlier among three hardly moves either. */
export function robustEstimate(
  values: readonly Weighted[],
): { readonly median: number; readonly deviation: number; readonly weight: number } | undefined {
  const median = weightedMedian(values);
  if (median === undefined) return undefined;
  if (values.length === 1) return { median, deviation: 0, weight: values[0]?.weight ?? 0 };
  const distances = values.map(({ value, weight }) => ({ value: Math.abs(value - median), weight }));
  return {
    median,
    deviation: MAD_TO_DEVIATION * (weightedMedian(distances) ?? 0),
    weight: values.reduce((sum, { weight }) => sum + weight, 0),
  };
}
