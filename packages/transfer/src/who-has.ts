import type { Logger } from '@mesh/net';
import { HAVE_TIMEOUT_MS } from './constants.ts';
import { messageOf } from './errors.ts';
import type { TransferNet } from './net.ts';
import type { StoreClient } from './store-client.ts';

export interface WhoHasComponents {
  readonly net: Pick<TransferNet, 'connectedMembers'>;
  readonly client: Pick<StoreClient, 'have'>;
  readonly logger: Pick<Logger, 'debug'>;
}

/**
 * Which connected members hold which of the paths: one batched question to each, all at once; who has not answered
 * within HAVE_TIMEOUT_MS counts as holding nothing. Paths that nobody has are left out.
 */
export async function whoHas(
  paths: readonly string[],
  components: WhoHasComponents,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Map<string, string[]>> {
  const holders = new Map<string, string[]>();
  if (paths.length === 0) return holders;
  const { net, client, logger } = components;
  await Promise.all(
    net.connectedMembers().map(async (peerId) => {
      const timeout = AbortSignal.timeout(HAVE_TIMEOUT_MS);
      const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
      try {
        for (const path of await client.have(peerId, paths, { signal })) {
          const known = holders.get(path);
          if (known === undefined) holders.set(path, [peerId]);
          else known.push(peerId);
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        logger.debug({ peerId, reason: messageOf(error) }, 'a member did not say which paths it has');
      }
    }),
  );
  return holders;
}
