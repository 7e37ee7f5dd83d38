/** Milliseconds to a tenth: finer is noise, and hard to read in a report. */
export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
