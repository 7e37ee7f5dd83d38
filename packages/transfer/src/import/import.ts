import type { PathDescription } from '@mesh/nix';
import type { NarSourceHint } from '../pieces/nar-fetch.ts';
import type { NarReport } from '../pieces/nar-report.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';

/** A path to bring in: its verified description, and the members that are to give the NAR. */
export interface ImportItem {
  readonly info: PathDescription;
  /** Who told of it. */
  readonly peer: PeerLabel;
  /** Others that have the same NAR. */
  readonly sources?: readonly NarSourceHint[];
  /** Only from those, not from others that fetch it: one of them was wrong before. */
  readonly alone?: boolean;
}

export interface ImportOptions {
  readonly signal: AbortSignal;
  /** Called with each path that is in the store, once. */
  readonly onPath: (item: ImportItem) => void;
  /** Hears of the bytes of each path as they come. */
  readonly onReport?: (item: ImportItem, report: NarReport) => void;
}

/**
 * Who compares a NAR's hash with the signed one. `here`: what is not right never completes. `store`: size and syntax are checked as it
 * comes, and the store it goes into refuses what has another hash: hashing a gigabyte twice costs more than receiving it.
 */
export type HashCheck = 'here' | 'store';

/** The NAR of an item, verified as it comes. */
export type OpenVerified = (
  item: ImportItem,
  signal: AbortSignal,
  hash?: HashCheck,
) => AsyncIterable<Uint8Array>;

/** A way of getting paths into the store of this machine. */
export interface StoreImporter {
  /**
   * Brings the items in; references come before what refers to them and everything else is valid already.
   * @throws TransferError of the peer whose NAR was bad or lost, TRANSFER_IMPORT_FAILED where this machine's Nix refused
   */
  import(items: readonly ImportItem[], options: ImportOptions): Promise<void>;
}

/** NAR bytes of all items together. */
export function narBytes(items: readonly ImportItem[]): number {
  return items.reduce((sum, { info }) => sum + info.narSize, 0);
}
