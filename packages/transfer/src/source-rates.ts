/** Where bytes come from: a member's peer id, or this machine's own substituters. */
export type Source = string;

/** The source that stands for all substituters of this machine together. */
export const UPSTREAM: Source = 'upstream';

/** How fast bytes come from where, as measured. */
export interface SourceRates {
  /** Bytes a millisecond a fetch from there may expect; a guess where nothing was measured yet. */
  rateOf(source: Source): number;
  /** Milliseconds until the first byte. */
  latencyOf(source: Source): number;
  /** So many bytes came from there in that time, beside `others` transfers of ours. */
  observed(source: Source, bytes: number, ms: number): void;
}
