import { type PathDescription, parseStorePath } from '@mesh/nix';
import {
  BULK_VERSION,
  STORE_MAX_PATHS,
  type StoreRequest,
  type StoreResponse,
  storeProtocol,
} from '@mesh/wire';
import { MAX_CLOSURE_PATHS, REQUEST_TIMEOUT_MS } from './constants.ts';
import { messageOf, TransferError } from './errors.ts';
import { hostsOf, type TransferNet } from './net.ts';
import type { NarEndpoint } from './side-channel/dial.ts';
import type { PeerLabel } from './side-channel/nar-connection.ts';
import { StoreConversation } from './store-conversation.ts';
import { untilAborted } from './until-aborted.ts';

/** Path infos as a member told them together. */
export interface InfoPage {
  readonly infos: readonly PathDescription[];
  /** Its signature over all of them (`vouched-page.ts`); older agents give none. */
  readonly vouch?: string;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
}

/** Asks members about their stores, over one kept stream per peer. */
export class StoreClient {
  readonly #net: Pick<TransferNet, 'open' | 'members' | 'nameOf' | 'remoteHost'>;
  readonly #conversations = new Map<string, Promise<StoreConversation>>();

  constructor(net: Pick<TransferNet, 'open' | 'members' | 'nameOf' | 'remoteHost'>) {
    this.#net = net;
  }

  /**
   * The valid ones among the paths.
   * @throws TransferError TRANSFER_PEER_LOST, TRANSFER_PEER_REFUSED (both also thrown by the methods below)
   */
  async have(peerId: string, paths: readonly string[], options: RequestOptions = {}): Promise<Set<string>> {
    const asked = new Set(paths);
    const valid = new Set<string>();
    const parts: Promise<void>[] = [];
    for (let start = 0; start < paths.length; start += STORE_MAX_PATHS) {
      const part = paths.slice(start, start + STORE_MAX_PATHS);
      const answer = this.#ask(peerId, { type: 'have', paths: part }, options, (response) => {
        if (response.type !== 'have') return 'unexpected';
        for (const path of response.valid) if (asked.has(path)) valid.add(path);
        return 'complete';
      });
      parts.push(answer);
    }
    await Promise.all(parts);
    return valid;
  }

  /**
   * The infos of the closures of those of `paths` the peer has, as it tells them, in pages: neither order nor signatures
   * are checked. `exclude` names paths at hand with all they refer to; more than fit into a question are not mentioned.
   */
  async closureInfos(
    peerId: string,
    paths: readonly string[],
    options: RequestOptions & { readonly exclude?: readonly string[] } = {},
  ): Promise<InfoPage[]> {
    const exclude = (options.exclude ?? []).slice(0, STORE_MAX_PATHS);
    const pages: InfoPage[] = [];
    let count = 0;
    for (let start = 0; start < paths.length; start += STORE_MAX_PATHS) {
      const part = paths.slice(start, start + STORE_MAX_PATHS);
      await this.#ask(peerId, { type: 'closure-infos', paths: part, exclude }, options, (response) => {
        if (response.type !== 'closure-infos') return 'unexpected';
        const { infos, vouch } = response;
        pages.push({ infos, ...(vouch === undefined ? {} : { vouch }) });
        count += infos.length;
        if (count > MAX_CLOSURE_PATHS) return 'unexpected';
        return response.last ? 'complete' : 'more';
      });
    }
    return pages;
  }

  /** The infos of the paths with these hash parts the peer has, as it tells them: nothing is checked but that they were asked for. */
  async pathInfos(
    peerId: string,
    hashParts: readonly string[],
    options: RequestOptions = {},
  ): Promise<PathDescription[]> {
    const asked = new Set(hashParts);
    const infos: PathDescription[] = [];
    for (let start = 0; start < hashParts.length; start += STORE_MAX_PATHS) {
      const part = hashParts.slice(start, start + STORE_MAX_PATHS);
      await this.#ask(peerId, { type: 'path-infos', hashParts: part }, options, (response) => {
        if (response.type !== 'path-infos') return 'unexpected';
        for (const info of response.infos) {
          // Once each: a peer that repeats itself must not fill memory.
          if (asked.delete(parseStorePath(info.path).hashPart)) infos.push(info);
        }
        return response.last ? 'complete' : 'more';
      });
    }
    return infos;
  }

  /** A key to one side-channel connection, and where it leads. */
  async bulkTicket(peerId: string, options: RequestOptions = {}): Promise<NarEndpoint> {
    let endpoint: NarEndpoint | undefined;
    const hosts = hostsOf(this.#net, peerId);
    await this.#ask(peerId, { type: 'bulk-ticket' }, options, (response) => {
      if (response.type !== 'bulk-ticket' || response.version !== BULK_VERSION) return 'unexpected';
      endpoint = { hosts, port: response.port, ticket: response.ticket, key: response.key };
      return 'complete';
    });
    return endpoint!;
  }

  /** The peer with the name users know it by. */
  label(peerId: string): PeerLabel {
    return { peerId, name: this.#net.nameOf(peerId) ?? peerId };
  }

  /** Gives up the stream to a peer that left. */
  dropPeer(peerId: string): void {
    const conversation = this.#conversations.get(peerId);
    this.#conversations.delete(peerId);
    // One that never opened has nothing to close.
    void conversation?.then((open) => open.close()).catch(() => undefined);
  }

  close(): void {
    for (const peerId of [...this.#conversations.keys()]) this.dropPeer(peerId);
  }

  async #ask(
    peerId: string,
    request: DistributiveOmit<StoreRequest, 'id'>,
    options: RequestOptions,
    take: (response: StoreResponse) => 'more' | 'complete' | 'unexpected',
  ): Promise<void> {
    const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
    const peer = this.label(peerId);
    try {
      const conversation = await this.#conversation(peerId, signal);
      await conversation.ask(request, signal, take);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof TransferError) throw error;
      throw new TransferError(
        'TRANSFER_PEER_LOST',
        `${peer.name} did not answer a question about its store (${messageOf(error)}).`,
        { peerId, cause: error },
      );
    }
  }

  #conversation(peerId: string, signal: AbortSignal): Promise<StoreConversation> {
    const kept = this.#conversations.get(peerId);
    if (kept !== undefined) return untilAborted(kept, signal);
    const opening = this.#net
      .open(peerId, storeProtocol, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
      .then((channel) => new StoreConversation(channel, this.label(peerId)));
    this.#conversations.set(peerId, opening);
    const forget = () => {
      if (this.#conversations.get(peerId) === opening) this.#conversations.delete(peerId);
    };
    opening.then((conversation) => conversation.closed.then(forget), forget);
    return untilAborted(opening, signal);
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
