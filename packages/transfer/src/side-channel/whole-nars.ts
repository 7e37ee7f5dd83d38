import type { PeerLabel } from './nar-connection.ts';
import type { PeerRanges } from './ranges.ts';

/** Anything NARs of peers can be read from, whole. */
export interface PeerNars {
  /** A path's NAR as the peer sends it, not yet verified. */
  openNar(
    peer: PeerLabel,
    info: { readonly path: string; readonly narSize: number },
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array>;
}

const RANGE_BYTES = 1024 * 1024;
/** Ranges asked for before the first of them is used: hides the round trips. */
const AHEAD = 4;

/** NARs one after another, out of ranges. */
export function wholeNars(peers: PeerRanges): PeerNars {
  return {
    async *openNar(peer, { path, narSize }, signal) {
      const giveUp = new AbortController();
      const ended = signal === undefined ? giveUp.signal : AbortSignal.any([signal, giveUp.signal]);
      const pull = async (offset: number): Promise<Uint8Array> => {
        const buffer = new Uint8Array(Math.min(RANGE_BYTES, narSize - offset));
        let at = 0;
        const take = (bytes: Uint8Array) => {
          buffer.set(bytes, at);
          at += bytes.length;
        };
        await peers.read(peer, { path, offset, bytes: buffer.length }, take, ended);
        return buffer;
      };
      const pulls: Promise<Uint8Array>[] = [];
      try {
        for (let asked = 0; asked < narSize || pulls.length > 0; ) {
          for (; asked < narSize && pulls.length < AHEAD; asked += RANGE_BYTES) {
            const pulled = pull(asked);
            // Heard of at its turn, or not at all.
            pulled.catch(() => undefined);
            pulls.push(pulled);
          }
          yield await pulls.shift()!;
        }
      } finally {
        giveUp.abort();
      }
    },
  };
}
