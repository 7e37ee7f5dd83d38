import { MAX_CONNECTIONS_PER_PEER } from '../constants.ts';
import { TransferError } from '../errors.ts';
import { NarConnection, type NarEndpoint, type PeerLabel } from './nar-connection.ts';

/** Anything NARs of peers can be read from. */
export interface PeerNars {
  /** A path's NAR as the peer sends it, not yet verified. */
  openNar(peer: PeerLabel, path: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Asks a peer, over an authenticated stream, for a key to one connection. */
export type TicketAsker = (peerId: string, signal?: AbortSignal) => Promise<NarEndpoint>;

interface PeerPool {
  readonly idle: NarConnection[];
  readonly waiting: (() => void)[];
  taken: number;
}

/** Kept side-channel connections, a few per peer, opened when needed. */
export class NarConnections implements PeerNars {
  readonly #askTicket: TicketAsker;
  readonly #pools = new Map<string, PeerPool>();
  readonly #open = new Map<NarConnection, string>();
  #closed = false;

  constructor(askTicket: TicketAsker) {
    this.#askTicket = askTicket;
  }

  /** @throws TransferError as `NarConnection.connect` and `nar` do */
  async *openNar(
    peer: PeerLabel,
    path: string,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const pool = this.#poolOf(peer.peerId);
    await takeTurn(pool, signal);
    try {
      for (;;) {
        const kept = this.#takeIdle(pool);
        const connection = kept ?? (await this.#connect(peer, signal));
        let started = false;
        try {
          for await (const chunk of connection.nar(path, signal)) {
            started = true;
            yield chunk;
          }
          return;
        } catch (error) {
          // A kept connection may have been closed by the peer at the moment it was taken up: that is no loss.
          const stale = kept !== undefined && !started && isLost(error);
          if (!stale) throw error;
        } finally {
          if (connection.closed || this.#closed) this.#forget(connection);
          else pool.idle.push(connection);
        }
      }
    } finally {
      pool.taken -= 1;
      pool.waiting.shift()?.();
    }
  }

  /** Closes the connections to a peer that left. */
  dropPeer(peerId: string): void {
    for (const [connection, holder] of this.#open) if (holder === peerId) this.#forget(connection);
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#open.keys()) connection.close();
    this.#open.clear();
    this.#pools.clear();
  }

  #poolOf(peerId: string): PeerPool {
    let pool = this.#pools.get(peerId);
    if (pool === undefined) {
      pool = { idle: [], waiting: [], taken: 0 };
      this.#pools.set(peerId, pool);
    }
    return pool;
  }

  #takeIdle(pool: PeerPool): NarConnection | undefined {
    for (;;) {
      const connection = pool.idle.pop();
      if (connection === undefined || !connection.closed) return connection;
      this.#forget(connection);
    }
  }

  async #connect(peer: PeerLabel, signal?: AbortSignal): Promise<NarConnection> {
    if (this.#closed) throw new TransferError('TRANSFER_STOPPED', 'The agent is stopping.');
    const connection = await NarConnection.connect(await this.#askTicket(peer.peerId, signal), peer, signal);
    this.#open.set(connection, peer.peerId);
    return connection;
  }

  #forget(connection: NarConnection): void {
    connection.close();
    this.#open.delete(connection);
  }
}

/** Waits until fewer than MAX_CONNECTIONS_PER_PEER transfers from the peer are under way, and counts as one of them. */
async function takeTurn(pool: PeerPool, signal?: AbortSignal): Promise<void> {
  while (pool.taken >= MAX_CONNECTIONS_PER_PEER) {
    const turn = Promise.withResolvers<void>();
    const giveUp = () => turn.reject(signal?.reason);
    signal?.addEventListener('abort', giveUp, { once: true });
    pool.waiting.push(turn.resolve);
    try {
      await turn.promise;
    } catch (error) {
      const place = pool.waiting.indexOf(turn.resolve);
      // The turn came at the moment of giving up: it goes to the next in line.
      if (place === -1) pool.waiting.shift()?.();
      else pool.waiting.splice(place, 1);
      throw error;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }
  signal?.throwIfAborted();
  pool.taken += 1;
}

function isLost(error: unknown): boolean {
  return error instanceof TransferError && error.code === 'TRANSFER_PEER_LOST';
}
