import type { Logger } from '@mesh/net';
import { type PathDescription, parseStorePath } from '@mesh/nix';
import { isPeerFault } from './errors.ts';
import { type Vouchers, verifyPathInfo } from './path-info-verification.ts';
import type { StoreClient } from './store-client.ts';
import type { NarStreams } from './substituter/nar-streams.ts';

export interface MemberPathsComponents {
  readonly client: Pick<StoreClient, 'pathInfos' | 'label'>;
  readonly vouchers: Vouchers;
  readonly nars: NarStreams;
  readonly logger: Pick<Logger, 'debug'>;
}

/** A store path at members, described by one whose word counts. */
export interface MemberPath {
  readonly info: PathDescription;
  /** Peer ids of those who described it the same. */
  readonly holders: readonly string[];
}

/** Store paths straight from members, for somebody who is not this machine's store. */
export class MemberPaths {
  readonly #components: MemberPathsComponents;

  constructor(components: MemberPathsComponents) {
    this.#components = components;
  }

  /** The path as these members describe it; undefined where none has it, or none can be believed. */
  async describe(
    path: string,
    holders: readonly string[],
    signal?: AbortSignal,
  ): Promise<MemberPath | undefined> {
    const infos = await Promise.all(holders.map((peerId) => this.#ask(peerId, path, signal)));
    const info = infos.find((found) => found !== undefined);
    if (info === undefined) return undefined;
    // Members may have built the path with other contents: each serves what it described.
    const same = holders.filter((_, index) => {
      const other = infos[index];
      return other !== undefined && Buffer.compare(other.narHash, info.narHash) === 0;
    });
    return { info, holders: same };
  }

  /**
   * The NAR, read no faster than it is taken; a chunk is good until the next one is asked for. The last bytes come only when all
   * of it is what the description says.
   * @throws TransferError of the member whose NAR was bad or lost
   */
  open({ info, holders }: MemberPath, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { client, nars } = this.#components;
    const labels = holders.map((peerId) => client.label(peerId));
    return nars.openNar({ from: 'members', info, holders: labels }, signal);
  }

  async #ask(peerId: string, path: string, signal?: AbortSignal): Promise<PathDescription | undefined> {
    const { client, vouchers, logger } = this.#components;
    try {
      const { hashPart } = parseStorePath(path);
      const infos = await client.pathInfos(peerId, [hashPart], signal === undefined ? {} : { signal });
      const info = infos.find((found) => found.path === path);
      return info === undefined ? undefined : verifyPathInfo(info, client.label(peerId), vouchers);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isPeerFault(error)) throw error;
      logger.debug({ peerId, path, reason: error.message }, 'a member could not describe a path');
      return undefined;
    }
  }
}
