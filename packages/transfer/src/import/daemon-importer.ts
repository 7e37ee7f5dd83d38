import type { DaemonPool } from '@mesh/nix';
import { PULLED_FIRST_BYTES, SMALL_PULLS_AT_ONCE } from '../constants.ts';
import { messageOf, TransferError } from '../errors.ts';
import { type ImportItem, narBytes, type OpenVerified, type StoreImporter } from './import.ts';

/**
 * Gives paths to the daemon on a kept connection: no process starts. The NARs of a small closure are pulled first, a
 * few at once, and Nix sees nothing before all are verified; those of a larger one stream through one after another,
 * each without its end until it is verified.
 */
export function daemonImporter(pool: DaemonPool, openVerified: OpenVerified): StoreImporter {
  return {
    import: async (items, { signal, onPath }) => {
      const pulled = narBytes(items) <= PULLED_FIRST_BYTES ? await pullAll(items, openVerified, signal) : [];
      let fault: unknown;
      try {
        await pool.use(async (daemon) => {
          const closeOnAbort = () => daemon.close();
          signal.addEventListener('abort', closeOnAbort, { once: true });
          try {
            const added = items.map((item, index) => ({
              info: item.info,
              nar: pulled[index] ?? noting(openVerified(item, signal), (error) => (fault ??= error)),
            }));
            // The signatures were checked here, against the members of the mesh.
            await daemon.addMultipleToStore(added, added.length, { dontCheckSigs: true });
            for (const item of items) onPath(item);
          } finally {
            signal.removeEventListener('abort', closeOnAbort);
          }
        });
      } catch (error) {
        signal.throwIfAborted();
        if (fault !== undefined) throw fault;
        throw new TransferError(
          'TRANSFER_IMPORT_FAILED',
          `The nix-daemon of this machine did not take ${items.length} fetched paths: ${messageOf(error)}`,
          { cause: error, paths: items.map(({ info }) => info.path) },
        );
      }
    },
  };
}

/** The NARs of the items, in their order; the first failure gives up the rest. */
async function pullAll(
  items: readonly ImportItem[],
  openVerified: OpenVerified,
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const nars: Uint8Array[] = [];
  const failed = new AbortController();
  const both = AbortSignal.any([signal, failed.signal]);
  let next = 0;
  const pull = async () => {
    while (next < items.length) {
      const index = next++;
      const chunks: Uint8Array[] = [];
      for await (const chunk of openVerified(items[index]!, both)) chunks.push(chunk);
      nars[index] = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    }
  };
  let cause: unknown;
  const pulls = Array.from({ length: Math.min(SMALL_PULLS_AT_ONCE, items.length) }, () =>
    pull().catch((error: unknown) => {
      // The others fail because of the first: it is the one to report.
      cause ??= error;
      failed.abort(error);
    }),
  );
  await Promise.all(pulls);
  if (cause !== undefined) throw cause;
  return nars;
}

/** The chunks, with a look at the error they end in: to the daemon's client it is one failure among others. */
async function* noting(
  chunks: AsyncIterable<Uint8Array>,
  note: (error: unknown) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks;
  } catch (error) {
    note(error);
    throw error;
  }
}
