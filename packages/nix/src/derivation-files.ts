import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Derivation, parseDerivation } from './derivation.ts';
import { NixError, quote } from './errors.ts';

/**
 * Reads one `.drv` file.
 * @throws NixError NIX_UNREADABLE_DERIVATION, NIX_BAD_DERIVATION
 */
export async function readDerivation(path: string): Promise<Derivation> {
  return readNow(path);
}

/**
 * How many files are read before other work gets its turn. `.drv` files are small, local and mostly in the page cache:
 * reading 20,000 of them without the thread pool takes a quarter of the time, and 32 take about a millisecond.
 */
const DEFAULT_BATCH = 32;

/**
 * Reads many `.drv` files, in the order given.
 * @param options.concurrency files read in one go before the event loop gets a turn
 * @throws NixError NIX_UNREADABLE_DERIVATION, NIX_BAD_DERIVATION at the first bad file
 */
export async function* readDerivations(
  paths: Iterable<string>,
  options: { concurrency?: number; signal?: AbortSignal } = {},
): AsyncGenerator<[path: string, derivation: Derivation]> {
  const batch = options.concurrency ?? DEFAULT_BATCH;
  let sinceTurn = 0;
  for (const path of paths) {
    if (sinceTurn === batch) {
      sinceTurn = 0;
      await nextTurn();
      options.signal?.throwIfAborted();
    }
    sinceTurn += 1;
    yield [path, readNow(path)];
  }
}

function readNow(path: string): Derivation {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown reason';
    throw new NixError(
      'NIX_UNREADABLE_DERIVATION',
      `The derivation ${quote(path)} cannot be read (${reason}): check the path and that it is still in the store.`,
      { cause },
    );
  }
  return parseDerivation(bytes, path);
}
