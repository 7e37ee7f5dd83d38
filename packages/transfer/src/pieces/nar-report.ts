import type { TransferErrorCode } from '../errors.ts';

/** A source of a NAR failed, and others took over: plain data, it crosses threads. */
export interface SourceFault {
  readonly peerId: string;
  readonly path: string;
  readonly code: TransferErrorCode;
  readonly message: string;
}

/** What happened to a NAR since the last report of it. */
export interface NarReport {
  /** Peer ids, the NAR bytes that came from each, and the milliseconds in which it was asked for something. */
  readonly shares: readonly { readonly peer: string; readonly bytes: number; readonly ms: number }[];
  /** Bytes that came though they came from elsewhere too. */
  readonly resentBytes: number;
  readonly faults: readonly SourceFault[];
}
