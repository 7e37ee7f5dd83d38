import { TransferError } from '../errors.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';
import type { NarBatch, NarHolding, NarRange, PeerRanges } from '../side-channel/ranges.ts';

/** A member that gives ranges of NARs out of memory. */
export interface MemoryPeer {
  readonly nars: Map<string, Uint8Array>;
  /** Bytes it has sent. */
  sent: number;
  /** It is lost after so many bytes. */
  diesAfter?: number;
  /** Milliseconds before each range. */
  delayMs?: number;
  /** What it tells watchers. */
  holding?: NarHolding;
}

const CHUNK_BYTES = 64 * 1024;

/** The side channel without sockets: members by their peer ids. */
export class MemoryPeers implements PeerRanges {
  readonly peers = new Map<string, MemoryPeer>();
  /** Asked for so far. */
  batches = 0;

  add(peerId: string, nars: Iterable<[string, Uint8Array]>): MemoryPeer {
    const peer: MemoryPeer = { nars: new Map(nars), sent: 0 };
    this.peers.set(peerId, peer);
    return peer;
  }

  async read(
    { peerId, name }: PeerLabel,
    { path, offset, bytes }: NarRange,
    take: (bytes: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const peer = this.peers.get(peerId);
    const nar = peer?.nars.get(path);
    if (peer === undefined || nar === undefined || offset + bytes > nar.length) {
      throw new TransferError('TRANSFER_PEER_REFUSED', `${name} has no ${path}`, { peerId, path });
    }
    if (peer.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, peer.delayMs));
    for (let at = offset; at < offset + bytes; at += CHUNK_BYTES) {
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      if (peer.sent >= (peer.diesAfter ?? Number.POSITIVE_INFINITY)) {
        throw new TransferError('TRANSFER_PEER_LOST', `${name} was lost`, { peerId, path });
      }
      const chunk = nar.subarray(at, Math.min(at + CHUNK_BYTES, offset + bytes));
      peer.sent += chunk.length;
      take(chunk);
    }
  }

  async readBatch(
    peer: PeerLabel,
    { paths }: NarBatch,
    take: (bytes: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.batches += 1;
    const bytesOf = (path: string) => this.peers.get(peer.peerId)?.nars.get(path)?.length ?? 1;
    for (const path of paths) await this.read(peer, { path, offset: 0, bytes: bytesOf(path) }, take, signal);
  }

  async watch(
    { peerId }: PeerLabel,
    path: string,
    hear: (holding: NarHolding) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const peer = this.peers.get(peerId);
    const complete = peer?.nars.has(path) ?? false;
    hear(peer?.holding ?? { complete, pieces: new Uint8Array(0), fetchers: [] });
    if (signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
}
