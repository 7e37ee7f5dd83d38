import type { DaemonPool } from '@mesh/nix';
import { isPeerFault, messageOf, TransferError } from '../errors.ts';
import type { ImportItem, ImportOptions, OpenVerified, StoreImporter } from './import.ts';
import { type PulledItem, pullAhead } from './pull-ahead.ts';

/** How every version of Nix begins to say that contents are not what their description says; colours may stand between the words. */
const MISMATCH =
  /(?:hash|size) mismatch importing path\W*?(?:\[[0-9;]*m)*'?(\/nix\/store\/[0-9A-Za-z+\-._?=]+)/;

/**
 * Gives paths to the daemon on a kept connection: no process starts. Each is registered as it is complete, so a failure costs what
 * was not in yet. The daemon compares hashes before it registers anything; where it finds another, the giver is told from what came,
 * or, where several gave, the NAR is read once more and hashed here.
 * @param refused the error about the member that gave an item whose hash was wrong; undefined where it could have been any of several
 */
export function daemonImporter(
  pool: DaemonPool,
  openVerified: OpenVerified,
  refused: (item: ImportItem) => TransferError | undefined,
): StoreImporter {
  return {
    import: async (items, options) => {
      try {
        await addAll(pool, items, options, (item, signal) => openVerified(item, signal, 'store'));
      } catch (error) {
        options.signal.throwIfAborted();
        const path = MISMATCH.exec(messageOf(error))?.[1];
        const wrong = items.find(({ info }) => info.path === path);
        if (wrong === undefined) throw error;
        const culprit = refused(wrong);
        if (culprit !== undefined) throw culprit;
        const paths = items.map(({ info }) => info.path);
        const valid = await pool.use(async (daemon) => await daemon.queryValidPaths(paths));
        const left = items.filter(({ info }) => !valid.has(info.path));
        await addAll(pool, left, options, (item, signal) => openVerified(item, signal, 'here'));
      }
    },
  };
}

async function addAll(
  pool: DaemonPool,
  items: readonly ImportItem[],
  { signal, onPath }: ImportOptions,
  open: OpenVerified,
): Promise<void> {
  let fault: unknown;
  const noting: OpenVerified = (item, both) =>
    noted(open(item, both), (error) => {
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
