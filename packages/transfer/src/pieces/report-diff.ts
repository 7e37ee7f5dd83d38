import type { TransferError } from '../errors.ts';
import type { NarReport } from './nar-report.ts';
import type { SourceShare } from './source-ledger.ts';

/** Totals of a NAR as they grow. */
export interface NarTotals {
  readonly shares: readonly SourceShare[];
  readonly resentBytes: number;
  readonly faults: readonly TransferError[];
}

/** Makes reports of what is new out of totals. */
export class ReportDiff {
  readonly #path: string;
  readonly #told = new Map<string, { bytes: number; ms: number }>();
  #resentBytes = 0;
  #faults = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Undefined where nothing is new. */
  next({ shares, resentBytes, faults }: NarTotals): NarReport | undefined {
    const grown = shares.flatMap(({ peer: { peerId }, bytes, ms }) => {
      const before = this.#told.get(peerId) ?? { bytes: 0, ms: 0 };
      if (bytes === before.bytes) return [];
      this.#told.set(peerId, { bytes, ms });
      return [{ peer: peerId, bytes: bytes - before.bytes, ms: ms - before.ms }];
    });
    const resent = resentBytes - this.#resentBytes;
    const path = this.#path;
    const news = faults
      .slice(this.#faults)
      .flatMap(({ peerId, code, message }) =>
        peerId === undefined ? [] : [{ peerId, path, code, message }],
      );
    this.#resentBytes = resentBytes;
    this.#faults = faults.length;
    if (grown.length === 0 && resent === 0 && news.length === 0) return undefined;
    return { shares: grown, resentBytes: resent, faults: news };
  }
}
