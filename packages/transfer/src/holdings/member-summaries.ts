import { isStorePath } from '@mesh/nix';
import { MAX_HELD_BYTES } from './constants.ts';
import { MemberSummary, type ToldHoldings, type Verdict } from './member-summary.ts';
import { hashOfPart, hashOfPath } from './path-filter.ts';
import type { ProbableHolders } from './probable-holders.ts';

/** What all connected members told of their holdings, within a bound. */
export class MemberSummaries implements ProbableHolders {
  readonly #connected: () => readonly string[];
  readonly #maxBytes: number;
  readonly #summaries = new Map<string, MemberSummary>();

  constructor(connected: () => readonly string[], maxBytes = MAX_HELD_BYTES) {
    this.#connected = connected;
    this.#maxBytes = maxBytes;
  }

  /** A summary that has no place here, or is not understood, is forgotten: the member then counts as unknown. */
  hear(peerId: string, message: ToldHoldings): Verdict {
    let summary = this.#summaries.get(peerId);
    if (summary === undefined) {
      summary = new MemberSummary();
      this.#summaries.set(peerId, summary);
    }
    const verdict = summary.hear(message, this.#maxBytes - this.heldBytes);
    if (verdict !== 'taken') this.forget(peerId);
    return verdict;
  }

  forget(peerId: string): void {
    this.#summaries.delete(peerId);
  }

  /** Filter bytes at rest. */
  get heldBytes(): number {
    let bytes = 0;
    for (const summary of this.#summaries.values()) bytes += summary.heldBytes;
    return bytes;
  }

  of(path: string): readonly string[] {
    return isStorePath(path) ? this.#matching(hashOfPath(path)) : [];
  }

  ofHash(hashPart: string): readonly string[] {
    const hash = hashOfPart(hashPart);
    return hash === undefined ? [] : this.#matching(hash);
  }

  unknown(): readonly string[] {
    return this.#connected().filter((peerId) => this.#summaries.get(peerId)?.filter === undefined);
  }

  #matching(hash: Uint8Array): string[] {
    return this.#connected().filter((peerId) => this.#summaries.get(peerId)?.filter?.has(hash) ?? false);
  }
}
