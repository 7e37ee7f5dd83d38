import type { PathDescription } from '@mesh/nix';
import type { PeerLabel } from '../side-channel/nar-connection.ts';

/** A NAR to be streamed: plain data, for it crosses into a thread. */
export type NarWish =
  /** Part of a NAR of this machine's own store. */
  | { readonly from: 'store'; readonly path: string; readonly offset: number; readonly bytes: number }
  /** A whole NAR that members hold, the best holder first; verified against the info. */
  | { readonly from: 'members'; readonly info: PathDescription; readonly holders: readonly PeerLabel[] };

/** Opens NARs. What comes from members never completes unless it is what the info says. */
export interface NarStreams {
  /**
   * The bytes, read no faster than they are taken; a chunk is good until the next one is asked for.
   * @throws TransferError of the peer whose NAR was bad or lost; whatever this machine's store throws where the path is not valid
   */
  openNar(wish: NarWish, signal: AbortSignal): AsyncIterable<Uint8Array>;
}
