import {
  PULLED_AGAIN_NARS,
  PULLED_AHEAD_BYTES,
  PULLED_AHEAD_NARS,
  SMALL_NAR_BYTES,
} from '../pieces/limits.ts';
import type { ImportItem, OpenVerified } from './import.ts';

/** An item with its NAR, of which something is under way already. */
export interface PulledItem {
  readonly item: ImportItem;
  readonly nar: AsyncIterable<Uint8Array>;
  /** Resolves with its first bytes, and rejects where they do not come. */
  readonly begun: Promise<unknown>;
}

interface Pull {
  readonly item: ImportItem;
  readonly iterator: AsyncIterator<Uint8Array>;
  readonly first: Promise<IteratorResult<Uint8Array>>;
  readonly bytes: number;
}

/**
 * The NARs of the items in their order, each begun before its turn: round trips hide, and several members send at once. What is begun is
 * bounded in number and bytes. A NAR that fails does so at its turn.
 */
export async function* pullAhead(
  items: readonly ImportItem[],
  openVerified: OpenVerified,
  signal: AbortSignal,
): AsyncGenerator<PulledItem, void, undefined> {
  const pulls: Pull[] = [];
  const givenUp = new AbortController();
  const ended = AbortSignal.any([signal, givenUp.signal]);
  let next = 0;
  let bytes = 0;
  const begin = () => {
    if (pulls.length >= PULLED_AGAIN_NARS) return;
    while (next < items.length && pulls.length < PULLED_AHEAD_NARS) {
      const item = items[next]!;
      // A larger one takes its window from the budget of all.
      const own = Math.min(item.info.narSize, SMALL_NAR_BYTES);
      if (pulls.length > 0 && bytes + own > PULLED_AHEAD_BYTES) return;
      const iterator = openVerified(item, ended)[Symbol.asyncIterator]();
      const first = iterator.next();
      first.catch(() => undefined);
      pulls.push({ item, iterator, first, bytes: own });
      bytes += own;
      next += 1;
      // Two large ones at once only take each other's turns.
      if (item.info.narSize > SMALL_NAR_BYTES && pulls.length > 1) return;
    }
  };
  try {
    for (begin(); pulls.length > 0; begin()) {
      const pull = pulls[0]!;
      yield { item: pull.item, nar: chunksOf(pull), begun: pull.first };
      pulls.shift();
      bytes -= pull.bytes;
    }
  } finally {
    givenUp.abort(new Error('the import ended'));
    for (const { iterator } of pulls) iterator.return?.().catch(() => undefined);
  }
}

async function* chunksOf({ first, iterator }: Pull): AsyncGenerator<Uint8Array, void, undefined> {
  for (let next = await first; next.done !== true; next = await iterator.next()) yield next.value;
}
