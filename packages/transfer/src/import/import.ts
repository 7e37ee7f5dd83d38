import type { PathDescription } from '@mesh/nix';
import type { PeerLabel } from '../side-channel/nar-connection.ts';

/** A path to bring in: its verified description, and the member that gave it and is to give the NAR. */
export interface ImportItem {
  readonly info: PathDescription;
  readonly peer: PeerLabel;
}

export interface ImportOptions {
  readonly signal: AbortSignal;
  /** Called with the NAR bytes of each verified path, once. */
  readonly onPath: (item: ImportItem) => void;
}

/** The NAR of an item, verified as it comes: what is not right never completes. */
export type OpenVerified = (item: ImportItem, signal: AbortSignal) => AsyncIterable<Uint8Array>;

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
