import type { NarStreams, NarWish } from '../substituter/nar-streams.ts';
import type { MemoryStore } from './memory-store.ts';
import { verifiedNar } from './verified-nar.ts';

/** NARs straight out of the stores of members in this process: verified, and from the first holder that has it. */
export function memoryNars(own: MemoryStore, stores: ReadonlyMap<string, MemoryStore>): NarStreams {
  async function* open(wish: NarWish): AsyncGenerator<Uint8Array> {
    if (wish.from === 'store') {
      const nar = own.nars.get(wish.path);
      if (nar === undefined) throw new Error(`path '${wish.path}' is not valid`);
      yield nar.subarray(wish.offset, wish.offset + wish.bytes);
      return;
    }
    const holder = wish.holders.find(({ peerId }) => stores.get(peerId)?.nars.has(wish.info.path));
    if (holder === undefined) throw new Error('nobody has it');
    yield* verifiedNar(stores.get(holder.peerId)!.openNar(wish.info.path), wish.info, holder);
  }
  return { openNar: (wish) => open(wish) };
}
