import type { DaemonPool } from '@mesh/nix';
import { TransferError } from '../errors.ts';
import type { NarReader } from './ranges.ts';

/** NARs out of this machine's store, by way of its nix-daemon. */
export type OpenNar = (path: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** The daemon's NARs; each holds one of the pool's connections while it is read. */
export function daemonNars(pool: DaemonPool): OpenNar {
  return async function* openNar(path, signal) {
    const nars = Promise.withResolvers<AsyncGenerator<Uint8Array, void, undefined>>();
    const taken = Promise.withResolvers<void>();
    // The pool lends a connection for as long as a function runs: this one runs until the NAR is read.
    const lent = pool.use(async (daemon) => {
      const close = () => daemon.close();
      signal.addEventListener('abort', close, { once: true });
      nars.resolve(daemon.narFromPath(path));
      await taken.promise;
      signal.removeEventListener('abort', close);
    });
    lent.catch(nars.reject);
    try {
      yield* await nars.promise;
    } finally {
      taken.resolve();
    }
    await lent;
  };
}

/**
 * Any range of a NAR that can only be had from its start: what lies before the range is read and thrown away. Ranges in order are read in
 * one go.
 */
export class StreamedNarReader implements NarReader {
  readonly narBytes: number;
  readonly #path: string;
  readonly #openNar: OpenNar;
  #stop = new AbortController();
  #chunks: AsyncIterator<Uint8Array> | undefined;
  /** Read and not yet given. */
  #rest: Uint8Array = new Uint8Array(0);
  #position = 0;

  constructor(path: string, narBytes: number, openNar: OpenNar) {
    this.#path = path;
    this.narBytes = narBytes;
    this.#openNar = openNar;
  }

  async *read(offset: number, bytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (this.#chunks === undefined || offset < this.#position) this.#restart();
    const stop = () => this.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await this.#skipTo(offset, signal);
      for (let left = bytes; left > 0; ) {
        const chunk = await this.#next(left, signal);
        left -= chunk.length;
        yield chunk;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  close(): void {
    this.#stop.abort();
    // It ends with the connection under it: nobody needs to hear how.
    this.#chunks?.return?.().catch(() => undefined);
    this.#chunks = undefined;
    this.#rest = new Uint8Array(0);
  }

  #restart(): void {
    this.close();
    this.#stop = new AbortController();
    this.#position = 0;
    this.#chunks = this.#openNar(this.#path, this.#stop.signal)[Symbol.asyncIterator]();
  }

  async #skipTo(offset: number, signal: AbortSignal): Promise<void> {
    while (this.#position < offset) await this.#next(offset - this.#position, signal);
  }

  async #next(atMost: number, signal: AbortSignal): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      signal.throwIfAborted();
      const next = await this.#chunks?.next();
      if (next === undefined || next.done === true) {
        throw new TransferError('TRANSFER_PEER_REFUSED', `the NAR of ${this.#path} ends too early`);
      }
      this.#rest = next.value;
    }
    const chunk = this.#rest.subarray(0, atMost);
    this.#rest = this.#rest.subarray(chunk.length);
    this.#position += chunk.length;
    return chunk;
  }
}
