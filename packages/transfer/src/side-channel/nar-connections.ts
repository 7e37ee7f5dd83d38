import { MAX_CONNECTIONS_PER_PEER } from '../constants.ts';
import { TransferError } from '../errors.ts';
import { untilAborted } from '../until-aborted.ts';
import type { NarEndpoint } from './dial.ts';
import { BUSY_CONNECTION_BYTES, MAX_PIPELINED_RANGES, MAX_WATCHES } from './limits.ts';
import { NarConnection, type PeerLabel, type ReceivedCounters } from './nar-connection.ts';
import type { NarBatch, NarHolding, NarRange, PeerRanges } from './ranges.ts';

/** Asks a peer, over an authenticated stream, for a key to one connection. */
export type TicketAsker = (peerId: string, signal?: AbortSignal) => Promise<NarEndpoint>;

/** A connection, open or being opened, and what is laid on it. */
interface Lane {
  readonly connection: Promise<NarConnection>;
  /** Of ranges under way, how many of each path. */
  readonly paths: Map<string, number>;
  ranges: number;
  bytes: number;
  watches: number;
  /** Taken up again after a time without work, and nothing came since: the peer may have closed it meanwhile. */
  stale: boolean;
}

interface PeerLanes {
  readonly lanes: Set<Lane>;
  readonly waiting: (() => void)[];
  readonly dropped: AbortController;
}

/** Kept side-channel connections, a few per peer, opened when needed. */
export class NarConnections implements PeerRanges {
  /** Of all connections since the start. */
  readonly received: ReceivedCounters = { narBytes: 0, wireBytes: 0 };
  readonly #askTicket: TicketAsker;
  readonly #peers = new Map<string, PeerLanes>();
  #closed = false;

  constructor(askTicket: TicketAsker) {
    this.#askTicket = askTicket;
  }

  /** @throws TransferError as `PeerRanges.read` says, TRANSFER_STOPPED after {@link close} */
  read(
    peer: PeerLabel,
    range: NarRange,
    take: (bytes: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#use(peer, range, take, signal, (connection, told) => connection.read(range, told, signal));
  }

  /** @throws TransferError as {@link read} */
  readBatch(
    peer: PeerLabel,
    batch: NarBatch,
    take: (bytes: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const load = { path: batch.paths[0]!, offset: 0, bytes: batch.bytes };
    return this.#use(peer, load, take, signal, (connection, told) =>
      connection.readBatch(batch, told, signal),
    );
  }

  /** Reads on a lane that has room for such a range. */
  async #use(
    peer: PeerLabel,
    range: NarRange,
    take: (bytes: Uint8Array) => void,
    signal: AbortSignal,
    read: (connection: NarConnection, told: (bytes: Uint8Array) => void) => Promise<void>,
  ): Promise<void> {
    for (;;) {
      const lane = await this.#takeLane(peer, range, signal);
      let came = false;
      try {
        const connection = await untilAborted(lane.connection, signal);
        const told = (bytes: Uint8Array) => {
          came = true;
          lane.stale = false;
          take(bytes);
        };
        return await read(connection, told);
      } catch (error) {
        // A kept connection may have been closed by the peer at the moment it was taken up: that is no loss.
        if (came || !lane.stale || !isLost(error)) throw error;
      } finally {
        this.#lift(peer.peerId, lane, range);
      }
    }
  }

  /** @throws TransferError as `PeerRanges.watch` says */
  async watch(
    peer: PeerLabel,
    path: string,
    hear: (holding: NarHolding) => void,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      const lane = this.#laneToWatch(peer);
      lane.watches += 1;
      let heard = false;
      const told = (holding: NarHolding) => {
        heard = true;
        lane.stale = false;
        hear(holding);
      };
      try {
        const connection = await untilAborted(lane.connection, signal);
        return await connection.watch(path, told, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (heard || !lane.stale || !isLost(error)) throw error;
      } finally {
        lane.watches -= 1;
      }
    }
  }

  /** Closes the connections to a peer that left. */
  dropPeer(peerId: string): void {
    const peer = this.#peers.get(peerId);
    if (peer === undefined) return;
    this.#peers.delete(peerId);
    peer.dropped.abort(new TransferError('TRANSFER_PEER_LOST', 'The peer left.', { peerId }));
    for (const wake of peer.waiting.splice(0)) wake();
  }

  close(): void {
    this.#closed = true;
    for (const peerId of [...this.#peers.keys()]) this.dropPeer(peerId);
  }

  /** Lays a range on a lane, once there is one for it. */
  async #takeLane(peer: PeerLabel, range: NarRange, signal: AbortSignal): Promise<Lane> {
    for (;;) {
      signal.throwIfAborted();
      const lanes = this.#lanesOf(peer.peerId);
      const lane = bestLane(lanes, range.path) ?? (isFull(lanes) ? undefined : this.#open(peer, lanes));
      if (lane !== undefined) {
        lay(lane, range, 1);
        return lane;
      }
      await turn(lanes.waiting, signal);
    }
  }

  #laneToWatch(peer: PeerLabel): Lane {
    const lanes = this.#lanesOf(peer.peerId);
    const lane = [...lanes.lanes].find(({ watches }) => watches < MAX_WATCHES);
    if (lane !== undefined) return lane;
    if (!isFull(lanes)) return this.#open(peer, lanes);
    throw new TransferError(
      'TRANSFER_PEER_REFUSED',
      `Too many paths of ${peer.name} are watched at once; fetch fewer at a time.`,
      { peerId: peer.peerId },
    );
  }

  #lanesOf(peerId: string): PeerLanes {
    if (this.#closed) throw new TransferError('TRANSFER_STOPPED', 'The agent is stopping.');
    let lanes = this.#peers.get(peerId);
    if (lanes === undefined) {
      lanes = { lanes: new Set(), waiting: [], dropped: new AbortController() };
      this.#peers.set(peerId, lanes);
    }
    return lanes;
  }

  #open(peer: PeerLabel, lanes: PeerLanes): Lane {
    const { signal } = lanes.dropped;
    const open = async () => {
      const endpoint = await this.#askTicket(peer.peerId, signal);
      const connection = await NarConnection.connect(endpoint, peer, { signal, received: this.received });
      const drop = () => connection.close();
      signal.addEventListener('abort', drop, { once: true });
      void connection.ended.then(() => {
        signal.removeEventListener('abort', drop);
        forget();
      });
      return connection;
    };
    const lane: Lane = {
      connection: open(),
      paths: new Map(),
      ranges: 0,
      bytes: 0,
      watches: 0,
      stale: false,
    };
    const forget = () => {
      lanes.lanes.delete(lane);
      lanes.waiting.shift()?.();
    };
    // Whoever waits for the lane hears why.
    lane.connection.catch(forget);
    lanes.lanes.add(lane);
    return lane;
  }

  #lift(peerId: string, lane: Lane, range: NarRange): void {
    lay(lane, range, -1);
    if (lane.ranges === 0) lane.stale = true;
    this.#peers.get(peerId)?.waiting.shift()?.();
  }
}

/** The lane where the path's ranges are under way, so that they come in order; else the least busy, where no other is worth opening. */
function bestLane(lanes: PeerLanes, path: string): Lane | undefined {
  const free = [...lanes.lanes].filter((lane) => lane.ranges < MAX_PIPELINED_RANGES);
  const carrying = free.find((lane) => lane.paths.has(path));
  if (carrying !== undefined) return carrying;
  const [least] = free.toSorted((a, b) => a.bytes - b.bytes);
  return least !== undefined && (least.bytes < BUSY_CONNECTION_BYTES || isFull(lanes)) ? least : undefined;
}

function lay(lane: Lane, range: NarRange, sign: 1 | -1): void {
  lane.ranges += sign;
  lane.bytes += sign * range.bytes;
  const ofPath = (lane.paths.get(range.path) ?? 0) + sign;
  if (ofPath === 0) lane.paths.delete(range.path);
  else lane.paths.set(range.path, ofPath);
}

function isFull({ lanes }: PeerLanes): boolean {
  return lanes.size >= MAX_CONNECTIONS_PER_PEER;
}

/** Waits for a place in line, and passes it on where it comes too late. */
async function turn(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  const mine = Promise.withResolvers<void>();
  const giveUp = () => mine.reject(signal.reason);
  signal.addEventListener('abort', giveUp, { once: true });
  waiting.push(mine.resolve);
  try {
    await mine.promise;
  } catch (error) {
    const place = waiting.indexOf(mine.resolve);
    if (place === -1) waiting.shift()?.();
    else waiting.splice(place, 1);
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

function isLost(error: unknown): boolean {
  return error instanceof TransferError && error.code === 'TRANSFER_PEER_LOST';
}
