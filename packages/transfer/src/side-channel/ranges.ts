import type { PeerLabel } from './nar-connection.ts';

/** Part of a path's NAR. */
export interface NarRange {
  readonly path: string;
  /** First byte, from the NAR's start. */
  readonly offset: number;
  /** How many bytes. Never beyond the NAR's end, never over MAX_RANGE_BYTES. */
  readonly bytes: number;
}

/** Whole NARs, one right after the other. */
export interface NarBatch {
  /** At most MAX_BATCH_PATHS. */
  readonly paths: readonly string[];
  /** Of all of them together; at most MAX_BATCH_BYTES. */
  readonly bytes: number;
}

/** What a peer has of one NAR. */
export interface NarHolding {
  /** The path is valid there: it has every byte. */
  readonly complete: boolean;
  /** One bit a piece (`pieceBytes(narSize)`), the first piece in the lowest bit of the first byte; of a NAR still coming in. */
  readonly pieces: Uint8Array;
  /** Peer ids of others that fetch the same path, as far as this peer knows. */
  readonly fetchers: readonly string[];
}

/** NARs of peers, as the side channel gives them: nothing is verified. */
export interface PeerRanges {
  /**
   * Reads a range. `take` gets its bytes in order, each time a view that is good during the call only; the caller bounds memory by
   * asking for no more than it has room for. Several ranges of one peer may be under way.
   * @throws TransferError TRANSFER_PEER_LOST, TRANSFER_PEER_REFUSED (the peer has not, or no longer, these bytes), TRANSFER_SIDE_CHANNEL
   */
  read(
    peer: PeerLabel,
    range: NarRange,
    take: (bytes: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** As {@link read}, many small NARs for one question. It fails as a whole; what came before that is good. */
  readBatch(
    peer: PeerLabel,
    batch: NarBatch,
    take: (bytes: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Tells a peer that this agent fetches a path, and hears what the peer has of it, now and whenever that changes, until the
   * signal aborts (then it resolves).
   * @throws TransferError as {@link read}, once the peer is lost
   */
  watch(
    peer: PeerLabel,
    path: string,
    hear: (holding: NarHolding) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

/** Random access to one NAR at the serving end. */
export interface NarReader {
  readonly narBytes: number;
  /** Names these very bytes, letters and digits only: what was made of them (compressed blocks) may be kept under it. */
  readonly contentId?: string;
  /**
   * Bytes of a range, read no faster than they are taken; each view is good until the next is asked for. Throws where this reader has
   * not all of them.
   */
  read(offset: number, bytes: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** The same at once, where that is possible without waiting. */
  fill?(offset: number, into: Uint8Array): void;
  /** Nothing more will be read for now. */
  close(): void;
}

/** Where the serving end finds NARs. */
export interface NarShelf {
  /** A reader of a path's NAR, undefined where nothing of it is here. */
  open(path: string, signal: AbortSignal): Promise<NarReader | undefined>;
  /** A reader of several small ones put together, undefined where one of them is not here. */
  openBatch(paths: readonly string[], signal: AbortSignal): Promise<NarReader | undefined>;
}

/** The serving end of {@link PeerRanges.watch}. */
export interface HoldingBoard {
  /** A peer fetches this path: `tell` is called at once and on every change. @returns ends it */
  watch(peerId: string, path: string, tell: (holding: NarHolding) => void): () => void;
}
