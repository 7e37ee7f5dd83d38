import type { PeerLabel } from '../side-channel/nar-connection.ts';
import type { Witness } from './witness.ts';

/** What one source gave, in how much time it was asked for something. */
export interface SourceShare {
  readonly peer: PeerLabel;
  readonly bytes: number;
  readonly ms: number;
}

interface Account {
  bytes: number;
  busyMs: number;
  lastDoneMs: number;
}

/** Who gave how much of a NAR, how fast, and what. */
export class SourceLedger {
  readonly witnesses: Witness[] = [];
  readonly #now: () => number;
  readonly #accounts = new Map<string, Account>();
  #wasted = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Bytes that came though their piece came from elsewhere too. */
  get wastedBytes(): number {
    return this.#wasted;
  }

  get receivedBytes(): number {
    let sum = 0;
    for (const { bytes } of this.#accounts.values()) sum += bytes;
    return sum;
  }

  received(source: string, bytes: number): void {
    this.#of(source).bytes += bytes;
  }

  wasted(bytes: number): void {
    this.#wasted += bytes;
  }

  /** A piece is complete. @returns bytes a millisecond of it alone, whatever was asked before it */
  finished(source: string, askedAtMs: number, bytes: number): number {
    const account = this.#of(source);
    const now = this.#now();
    const ms = Math.max(0.01, now - Math.max(askedAtMs, account.lastDoneMs));
    account.busyMs += ms;
    account.lastDoneMs = now;
    return bytes / ms;
  }

  /** How long a source has been at the piece that it sends now. */
  waitedMs(source: string, askedAtMs: number): number {
    return this.#now() - Math.max(askedAtMs, this.#of(source).lastDoneMs);
  }

  /** Hashes only where several sources take part: with one there is nothing to tell apart. */
  witness(source: string, offset: number, digest: () => Uint8Array, bytes: number): void {
    const isAlone = this.#accounts.size <= 1;
    this.witnesses.push({ source, offset, bytes, digest: isAlone ? undefined : digest() });
  }

  shares(peers: ReadonlyMap<string, PeerLabel>): SourceShare[] {
    return [...this.#accounts]
      .filter(([, { bytes }]) => bytes > 0)
      .map(([source, { bytes, busyMs }]) => ({ peer: peers.get(source)!, bytes, ms: busyMs }));
  }

  #of(source: string): Account {
    let account = this.#accounts.get(source);
    if (account === undefined) {
      account = { bytes: 0, busyMs: 0, lastDoneMs: Number.NEGATIVE_INFINITY };
      this.#accounts.set(source, account);
    }
    return account;
  }
}
