import { nixCopy } from '@mesh/nix';
import { PATHS_PER_COPY } from '../constants.ts';
import { messageOf, TransferError } from '../errors.ts';
import type { Gateway } from '../gateway.ts';
import type { StoreImporter } from './import.ts';

export interface NixCopyInit {
  /** Where `nix` may keep what it remembers about the gateway: nothing of ours belongs into a user's cache. */
  readonly cacheDir: string;
  /** The daemon's socket, where it is not Nix's own default. */
  readonly socketPath?: string;
}

/** For bulk: `nix copy` from the loopback gateway; NARs stream through and nothing is held in memory. */
export function nixCopyImporter(init: NixCopyInit, gateway: Gateway): StoreImporter {
  const to = init.socketPath === undefined ? 'daemon' : `unix://${init.socketPath}`;
  return {
    import: async (items, { signal, onPath }) => {
      const offer = gateway.offer(items, signal, onPath);
      try {
        const from = await gateway.url();
        for (let start = 0; start < items.length; start += PATHS_PER_COPY) {
          const paths = items.slice(start, start + PATHS_PER_COPY).map(({ info }) => info.path);
          await nixCopy({
            from,
            to,
            paths,
            // Exactly these: the rest of the closure is here already, and the gateway does not offer it.
            recursive: false,
            // The signatures were checked here, against the members of the mesh.
            noCheckSigs: true,
            signal,
            env: { ...process.env, XDG_CACHE_HOME: init.cacheDir },
            settings: {
              // A path absent a moment ago may be offered now, and the other way round.
              'narinfo-cache-negative-ttl': '0',
              'narinfo-cache-positive-ttl': '0',
              // A failed download is asked from another member, by us, at once.
              'download-attempts': '1',
            },
          });
        }
      } catch (error) {
        signal.throwIfAborted();
        if (offer.fault !== undefined) throw offer.fault;
        throw new TransferError(
          'TRANSFER_IMPORT_FAILED',
          `nix copy could not bring ${items.length} fetched paths into this machine's store: ${messageOf(error)}`,
          { cause: error, paths: items.map(({ info }) => info.path) },
        );
      } finally {
        offer.close();
      }
    },
  };
}
