import type { MeshNet } from '@mesh/net';
import { type DaemonPool, isStorePath, type NixSystemInfo } from '@mesh/nix';
import { isTransferError, type Transfer } from '@mesh/transfer';
import type { ControlResponse, ControlResult } from '@mesh/wire';
import { AgentError } from '../errors.ts';
import { toldProgress } from '../fetch-progress.ts';
import type { KeptResults } from '../worker/kept-results.ts';

export interface CacheControlComponents {
  readonly net: Pick<MeshNet, 'connectedMembers' | 'nameOf'>;
  readonly pool: DaemonPool;
  readonly transfer: Pick<
    Transfer,
    'binaryCache' | 'publicKey' | 'counters' | 'whoHas' | 'fetchClosure' | 'bytesPerSFrom' | 'offeredUpstream'
  >;
  readonly kept: Pick<KeptResults, 'summary'>;
  /** What Nix was configured with when the agent started. */
  readonly nix: Pick<NixSystemInfo, 'substituters' | 'trustedPublicKeys'>;
}

/** Answers `mesh cache`. */
export class CacheControl {
  readonly #components: CacheControlComponents;

  constructor(components: CacheControlComponents) {
    this.#components = components;
  }

  async status(): Promise<ControlResult<'cache-status'>> {
    const { transfer, nix, kept } = this.#components;
    const { count, bytes: keptBytes, maxBytes } = kept.summary();
    const { binaryCache, publicKey } = transfer;
    const { fetchedPaths, fetchedBytes, sentBytes, badPeers } = await transfer.counters();
    const { known = 0, found = 0, absent = 0, nars = 0, bytes = 0 } = binaryCache?.counters ?? {};
    const url = binaryCache?.url;
    return {
      url: url ?? null,
      off: url !== undefined ? null : whyOff(binaryCache !== undefined),
      publicKey,
      configured: {
        substituter: nix.substituters.some((substituter) => isOurs(substituter, url)),
        trusted: nix.trustedPublicKeys.includes(publicKey),
      },
      narinfos: { known, found, absent },
      given: { nars, bytes },
      fetched: { paths: fetchedPaths, bytes: fetchedBytes },
      served: { bytes: sentBytes },
      kept: { paths: count, bytes: keptBytes, maxBytes },
      badPeers,
    };
  }

  /** @throws AgentError CACHE_NOT_A_STORE_PATH */
  async which(path: string, signal: AbortSignal): Promise<ControlResult<'cache-which'>> {
    checkStorePath(path);
    const { transfer, net, pool } = this.#components;
    const [own, holders] = await Promise.all([
      pool.use(async (daemon) => daemon.queryPathInfo(path)),
      transfer.whoHas([path], { signal }),
    ]);
    const members = (holders.get(path) ?? []).map((peerId) => ({
      name: net.nameOf(peerId) ?? peerId,
      peerId,
      bytesPerS: transfer.bytesPerSFrom(peerId),
    }));
    return {
      path,
      narSize: own?.narSize ?? null,
      here: own !== undefined,
      members: members.toSorted((a, b) => b.bytesPerS - a.bytesPerS),
      upstream: own === undefined ? (await transfer.offeredUpstream([path])).has(path) : null,
    };
  }

  /**
   * Brings the paths here with all they refer to; what nobody has is said, and holds up nothing. What came stays for some minutes:
   * rooting it for longer is the asker's.
   * @throws AgentError CACHE_NOT_A_STORE_PATH; TransferError TRANSFER_IMPORT_FAILED, TRANSFER_STOPPED
   */
  async warm(
    paths: readonly string[],
    { signal, emit }: { signal: AbortSignal; emit(response: ControlResponse): Promise<void> },
  ): Promise<ControlResult<'cache-warm'>> {
    for (const path of paths) checkStorePath(path);
    const { pool, transfer, net } = this.#components;
    const nameOf = (peerId: string) => net.nameOf(peerId) ?? peerId;
    const asked = [...new Set(paths)];
    const valid =
      asked.length === 0 ? undefined : await pool.use(async (daemon) => daemon.queryValidPaths(asked));
    const absent = asked.filter((path) => valid?.has(path) !== true);
    const nothing = { fetchedPaths: 0, fetchedBytes: 0, sources: {}, missing: [] };
    if (absent.length === 0) return { alreadyHere: asked.length, ...nothing };
    const holders = await transfer.whoHas(absent, { signal });
    let wanted = absent.map((path) => ({ path, holders: holders.get(path) ?? [] }));
    const missing: string[] = [];
    while (wanted.length > 0) {
      try {
        const { fetchedPaths, fetchedBytes, sources } = await transfer.fetchClosure(wanted, {
          signal,
          onProgress: (progress) => {
            void emit({ type: 'progress', progress: toldProgress(progress, nameOf) });
          },
        });
        const named = sources.map(({ peer, bytes }) => [nameOf(peer), bytes] as const);
        const came = { fetchedPaths, fetchedBytes, sources: Object.fromEntries(named) };
        return { alreadyHere: asked.length - absent.length, ...came, missing };
      } catch (error) {
        const lost = lostPaths(error, wanted);
        if (lost.size === 0) throw error;
        missing.push(...lost);
        wanted = wanted.filter(({ path }) => !lost.has(path));
      }
    }
    return { alreadyHere: asked.length - absent.length, ...nothing, missing };
  }
}

/** Of the wanted paths, those that a fetch failed for because nobody has them. */
function lostPaths(error: unknown, wanted: readonly { readonly path: string }[]): Set<string> {
  if (!isTransferError(error) || error.code !== 'TRANSFER_NO_SOURCE') return new Set();
  const lost = new Set(error.paths);
  return new Set(wanted.map(({ path }) => path).filter((path) => lost.has(path)));
}

function checkStorePath(path: string): void {
  if (isStorePath(path)) return;
  throw new AgentError('CACHE_NOT_A_STORE_PATH', `${path} is not a path directly inside /nix/store.`);
}

function isOurs(substituter: string, url: string | undefined): boolean {
  return url !== undefined && substituter.replace(/\/?(\?.*)?$/, '') === url;
}

function whyOff(configured: boolean): string {
  return configured
    ? 'its port is taken by another program; set another one in config.json (cache.port)'
    : 'it is switched off in config.json (cache.enabled), or this agent lives for one build only';
}
