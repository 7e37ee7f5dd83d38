import { isPeerFault } from '../errors.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_PATHS } from '../side-channel/limits.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';
import type { PeerRanges } from '../side-channel/ranges.ts';
import { BATCHED_NAR_BYTES } from './limits.ts';

interface Wanted {
  readonly path: string;
  readonly narSize: number;
  readonly done: PromiseWithResolvers<Uint8Array>;
}

interface Waiting {
  readonly peer: PeerLabel;
  readonly signal: AbortSignal;
  readonly wanted: Wanted[];
}

/** Whole NARs of peers. The smallest, where several are wanted in the same moment, come as batches: one question, one stream of bytes. */
export class SmallNars {
  readonly #peers: PeerRanges;
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(peers: PeerRanges) {
    this.#peers = peers;
  }

  /**
   * The bytes of one NAR, unverified. Many under way with one signal cost least.
   * @throws TransferError as `PeerRanges.read` says
   */
  read(peer: PeerLabel, path: string, narSize: number, signal: AbortSignal): Promise<Uint8Array> {
    if (narSize > BATCHED_NAR_BYTES) return this.#alone(peer, path, narSize, signal);
    const ofPeer = this.#waiting.get(peer.peerId) ?? [];
    if (ofPeer.length === 0) {
      this.#waiting.set(peer.peerId, ofPeer);
      // What is asked for in one go is all there when this runs.
      queueMicrotask(() => this.#send(peer.peerId));
    }
    let waiting = ofPeer.find((one) => one.signal === signal);
    if (waiting === undefined) {
      waiting = { peer, signal, wanted: [] };
      ofPeer.push(waiting);
    }
    const done = Promise.withResolvers<Uint8Array>();
    waiting.wanted.push({ path, narSize, done });
    return done.promise;
  }

  async #alone(peer: PeerLabel, path: string, narSize: number, signal: AbortSignal): Promise<Uint8Array> {
    const nar = Buffer.allocUnsafeSlow(narSize);
    let at = 0;
    const take = (bytes: Uint8Array) => {
      nar.set(bytes, at);
      at += bytes.length;
    };
    await this.#peers.read(peer, { path, offset: 0, bytes: narSize }, take, signal);
    return nar;
  }

  #send(peerId: string): void {
    const ofPeer = this.#waiting.get(peerId) ?? [];
    this.#waiting.delete(peerId);
    for (const { peer, signal, wanted } of ofPeer) {
      for (const batch of batches(wanted)) void this.#together(peer, batch, signal);
    }
  }

  async #together(peer: PeerLabel, batch: readonly Wanted[], signal: AbortSignal): Promise<void> {
    const bytes = batch.reduce((sum, { narSize }) => sum + narSize, 0);
    const buffer = Buffer.allocUnsafeSlow(bytes);
    let reached = 0;
    let start = 0;
    let next = 0;
    const take = (part: Uint8Array) => {
      buffer.set(part, reached);
      reached += part.length;
      for (let one = batch[next]; one !== undefined && start + one.narSize <= reached; one = batch[next]) {
        one.done.resolve(buffer.subarray(start, start + one.narSize));
        start += one.narSize;
        next += 1;
      }
    };
    const paths = batch.map(({ path }) => path);
    try {
      await (batch.length === 1
        ? this.#peers.read(peer, { path: paths[0]!, offset: 0, bytes }, take, signal)
        : this.#peers.readBatch(peer, { paths, bytes }, take, signal));
    } catch (error) {
      const left = batch.slice(next);
      // A batch is refused as a whole where one of it is not there: each for itself is told what it is.
      const isRefused = isPeerFault(error) && error.code === 'TRANSFER_PEER_REFUSED' && batch.length > 1;
      for (const { path, narSize, done } of left) {
        if (isRefused && !signal.aborted)
          this.#alone(peer, path, narSize, signal).then(done.resolve, done.reject);
        else done.reject(error);
      }
    }
  }
}

function* batches(wanted: readonly Wanted[]): Generator<Wanted[]> {
  let batch: Wanted[] = [];
  let bytes = 0;
  for (const one of wanted) {
    if (batch.length === MAX_BATCH_PATHS || bytes + one.narSize > MAX_BATCH_BYTES) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(one);
    bytes += one.narSize;
  }
  yield batch;
}
