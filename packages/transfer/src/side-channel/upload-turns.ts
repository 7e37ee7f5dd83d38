import { SEND_BYTES } from './limits.ts';
import { TokenBucket } from './token-bucket.ts';

export interface UploadTurnsComponents {
  /** Milliseconds, from any origin. */
  readonly now: () => number;
  /** Runs something once, later. @returns calls it off */
  readonly after: (ms: number, run: () => void) => () => void;
}

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/** A turn never takes longer than this at the limit: many peers all move on within seconds. */
const TURN_MS = 125;
const MIN_TURN_BYTES = 4 * 1024;

/**
 * Who may send next where the upload is limited. Peers take turns, however many connections and ranges each has: one that asks for
 * a lot waits behind itself only.
 */
export class UploadTurns {
  readonly #components: UploadTurnsComponents;
  /** Peers that wait, the one whose turn it is first; what each waits for in its order. */
  readonly #peers = new Map<string, Waiting[]>();
  #bucket: TokenBucket | undefined;
  #callOff: (() => void) | undefined;

  constructor(components: UploadTurnsComponents) {
    this.#components = components;
  }

  /** Bytes a second for everybody together; undefined for no limit. */
  setLimit(bytesPerS: number | undefined): void {
    const now = this.#components.now();
    if (bytesPerS !== this.#bucket?.bytesPerS) {
      this.#bucket = bytesPerS === undefined ? undefined : new TokenBucket(bytesPerS, now);
    }
    this.#callOff?.();
    this.#callOff = undefined;
    this.#serve();
  }

  /** The limit, for whoever has to know how fast anything can go; undefined where there is none. */
  get bytesPerMs(): number | undefined {
    return this.#bucket === undefined ? undefined : this.#bucket.bytesPerS / 1_000;
  }

  /** Bytes to ask for at once. */
  get turnBytes(): number {
    if (this.#bucket === undefined) return SEND_BYTES;
    const fair = Math.floor((this.#bucket.bytesPerS * TURN_MS) / 1_000);
    return Math.max(MIN_TURN_BYTES, Math.min(SEND_BYTES, fair));
  }

  /** Resolves when the peer may send so many bytes. Throws the signal's reason where it aborts first. */
  async take(peerId: string, bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const now = this.#components.now();
    if (this.#bucket === undefined) return;
    if (this.#peers.size === 0 && this.#bucket.waitMs(now) === 0) {
      this.#bucket.take(bytes, now);
      return;
    }
    const turn = Promise.withResolvers<void>();
    const waiting = { bytes, go: turn.resolve };
    const giveUp = () => {
      this.#leave(peerId, waiting);
      turn.reject(signal.reason);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    const line = this.#peers.get(peerId);
    if (line === undefined) this.#peers.set(peerId, [waiting]);
    else line.push(waiting);
    this.#serve();
    try {
      await turn.promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  #serve(): void {
    for (const [peerId, line] of this.#peers) {
      const now = this.#components.now();
      const waitMs = this.#bucket?.waitMs(now) ?? 0;
      if (waitMs > 0) {
        this.#callOff ??= this.#components.after(waitMs, () => {
          this.#callOff = undefined;
          this.#serve();
        });
        return;
      }
      const next = line.shift()!;
      this.#bucket?.take(next.bytes, now);
      // To the end of the ring: a map keeps the order in which keys were put in, and goes on to those put in meanwhile.
      this.#peers.delete(peerId);
      if (line.length > 0) this.#peers.set(peerId, line);
      next.go();
    }
  }

  #leave(peerId: string, waiting: Waiting): void {
    const line = this.#peers.get(peerId);
    const place = line?.indexOf(waiting) ?? -1;
    if (line === undefined || place === -1) return;
    line.splice(place, 1);
    if (line.length === 0) this.#peers.delete(peerId);
  }
}
