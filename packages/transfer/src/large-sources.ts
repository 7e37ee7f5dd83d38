import type { Logger } from '@mesh/net';
import { parseStorePath } from '@mesh/nix';
import { HAVE_TIMEOUT_MS } from './constants.ts';
import { messageOf } from './errors.ts';
import type { ProbableHolders } from './holdings/probable-holders.ts';
import type { ImportItem } from './import/import.ts';
import type { TransferNet } from './net.ts';
import { LARGE_NAR_BYTES } from './pieces/limits.ts';
import type { NarSourceHint } from './pieces/nar-fetch.ts';
import type { SourceRates } from './source-rates.ts';
import type { StoreClient } from './store-client.ts';

/** Sources of one NAR: a few fill any link, and each costs a connection. */
const MAX_SOURCES = 8;
/** Where nothing was measured at all. */
const ANY_BYTES_PER_MS = 110_000;

export interface LargeSourcesComponents {
  readonly net: Pick<TransferNet, 'connectedMembers'>;
  readonly client: Pick<StoreClient, 'pathInfos' | 'label'>;
  readonly rates?: SourceRates;
  readonly probable?: ProbableHolders;
  readonly logger: Pick<Logger, 'debug'>;
}

/**
 * Who else has the NARs of the large items: one question to each member that may, all at once. Only who has the very same NAR counts, for
 * a path may have been built twice with different bytes. The fastest first.
 * @returns by path, the item's own peer included
 */
export async function findLargeSources(
  items: readonly ImportItem[],
  components: LargeSourcesComponents,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Map<string, NarSourceHint[]>> {
  const large = new Map(
    items.filter(({ info }) => info.narSize >= LARGE_NAR_BYTES).map((item) => [item.info.path, item]),
  );
  const { net, client, rates, logger } = components;
  const hint = (peerId: string): NarSourceHint => ({
    peer: client.label(peerId),
    bytesPerMs: rates?.rateOf(peerId) ?? ANY_BYTES_PER_MS,
  });
  const sources = new Map([...large].map(([path, { peer }]) => [path, [hint(peer.peerId)]]));
  await Promise.all(
    net.connectedMembers().map(async (peerId) => {
      const paths = askedOf(peerId, large, components.probable);
      if (paths.length === 0) return;
      const timeout = AbortSignal.timeout(HAVE_TIMEOUT_MS);
      const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
      try {
        const hashParts = paths.map((path) => parseStorePath(path).hashPart);
        for (const { path, narHash, narSize } of await client.pathInfos(peerId, hashParts, { signal })) {
          const wanted = large.get(path)?.info;
          if (wanted?.narSize !== narSize || Buffer.compare(wanted.narHash, narHash) !== 0) continue;
          sources.get(path)!.push(hint(peerId));
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        logger.debug({ peerId, reason: messageOf(error) }, 'a member did not say which large paths it has');
      }
    }),
  );
  for (const [path, found] of sources) {
    found.sort((a, b) => b.bytesPerMs - a.bytesPerMs);
    sources.set(path, found.slice(0, MAX_SOURCES));
  }
  return sources;
}

function askedOf(
  peerId: string,
  large: ReadonlyMap<string, ImportItem>,
  probable: ProbableHolders | undefined,
): string[] {
  const isUnknown = probable === undefined || probable.unknown().includes(peerId);
  return [...large]
    .filter(([path, { peer }]) => peer.peerId !== peerId && (isUnknown || probable.of(path).includes(peerId)))
    .map(([path]) => path);
}
