import type { DaemonPool } from '@mesh/nix';
import { isPeerFault, messageOf, TransferError } from '../errors.ts';
import type { OpenVerified, StoreImporter } from './import.ts';
import { type PulledItem, pullAhead } from './pull-ahead.ts';

/**
 * Gives paths to the daemon on a kept connection: no process starts. Each is registered as it is complete, so a failure costs what
 * was not in yet; none is complete without being verified.
 */
export function daemonImporter(pool: DaemonPool, openVerified: OpenVerified): StoreImporter {
  return {
    import: async (items, { signal, onPath }) => {
      let fault: unknown;
      const noting: OpenVerified = (item, both) =>
        noted(openVerified(item, both), (error) => {
          fault ??= error;
        });
      const pulled = pullAhead(items, noting, signal);
      async function* added(first: PulledItem) {
        yield { info: first.item.info, nar: first.nar };
        let previous = first.item;
        for await (const { item, nar } of pulled) {
          onPath(previous);
          previous = item;
          yield { info: item.info, nar };
        }
      }
      try {
        const { value: first } = await pulled.next();
        if (first === undefined) return;
        // Nix is not bothered before something is there to be given to it.
        await first.begun;
        await pool.use(async (daemon) => {
          const closeOnAbort = () => daemon.close();
          signal.addEventListener('abort', closeOnAbort, { once: true });
          try {
            // The signatures were checked here, against the members of the mesh.
            await daemon.addMultipleToStore(added(first), items.length, { dontCheckSigs: true });
          } finally {
            signal.removeEventListener('abort', closeOnAbort);
          }
        });
      } catch (error) {
        signal.throwIfAborted();
        if (isPeerFault(fault)) throw fault;
        throw new TransferError(
          'TRANSFER_IMPORT_FAILED',
          `The nix-daemon of this machine did not take ${items.length} fetched paths: ${messageOf(error)}`,
          { cause: error, paths: items.map(({ info }) => info.path) },
        );
      } finally {
        await pulled.return();
      }
      const last = items.at(-1);
      if (last !== undefined) onPath(last);
    },
  };
}

/** The chunks, with a look at the error they end in: to the daemon's client it is one failure among others. */
async function* noted(
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
