import type { Channel, Logger } from '@mesh/net';
import type { PathDescription, SigningKey } from '@mesh/nix';
import { BULK_VERSION, type StoreRequest, type StoreResponse, storeProtocol } from '@mesh/wire';
import { INFO_PAGE_BYTES, MAX_PIPELINED_REQUESTS } from './constants.ts';
import type { DataPlane } from './data-plane.ts';
import { messageOf } from './errors.ts';
import type { TransferNet } from './net.ts';
import type { TempRoots } from './roots/temp-roots.ts';
import { SignedClosures } from './signed-closures.ts';
import type { StoreReader } from './store-reader.ts';
import { vouchForPage } from './vouched-page.ts';

export interface StoreServerComponents {
  readonly net: Pick<TransferNet, 'handle'>;
  readonly store: StoreReader;
  readonly signingKey: SigningKey;
  /** Keeps closures that were told of: whoever asks for infos is about to ask for the NARs. Without, nothing is kept. */
  readonly promises?: Pick<TempRoots, 'promise'>;
  /** Hears which paths a member was told of, because it wants them or something that refers to them. */
  readonly onTold?: (paths: readonly string[]) => void;
  /** Makes keys to the side channel. */
  readonly tickets: Pick<DataPlane, 'issueTicket' | 'prepare'>;
  readonly logger: Pick<Logger, 'debug'>;
}

type StoreChannel = Channel<StoreResponse, StoreRequest>;

/** Tells members what the own store holds. Read-only: there is no message that changes a store. */
export class StoreServer {
  readonly #components: StoreServerComponents;
  readonly #closures: SignedClosures;
  /** The store, where what is found valid is kept. */
  readonly #kept: StoreReader;

  constructor(components: StoreServerComponents) {
    this.#components = components;
    const { store, promises, signingKey } = components;
    // Rooted before it counts as valid, so that what is told is still there when it is fetched.
    this.#kept = {
      validPaths: (paths) => (promises === undefined ? store.validPaths(paths) : promises.promise(paths)),
      pathInfos: (paths) => store.pathInfos(paths),
      pathsFromHashParts: (hashParts) => store.pathsFromHashParts(hashParts),
    };
    this.#closures = new SignedClosures(this.#kept, signingKey);
  }

  /** Begins to answer. */
  start(): void {
    this.#components.net.handle(storeProtocol, (channel) => this.#converse(channel));
  }

  async #converse(channel: StoreChannel): Promise<void> {
    const underWay = new Map<number, AbortController>();
    const answers = new Set<Promise<void>>();
    try {
      for await (const request of channel) {
        if (request.type === 'cancel') {
          underWay.get(request.id)?.abort();
          continue;
        }
        // Not reading on is what holds back a peer that asks faster than we answer.
        while (answers.size >= MAX_PIPELINED_REQUESTS) await Promise.race(answers);
        const cancelled = new AbortController();
        underWay.set(request.id, cancelled);
        const answer = this.#answer(channel, request, cancelled.signal).finally(() => {
          underWay.delete(request.id);
          answers.delete(answer);
        });
        answers.add(answer);
      }
      await Promise.all(answers);
    } finally {
      for (const cancelled of underWay.values()) cancelled.abort();
    }
  }

  async #answer(
    channel: StoreChannel,
    request: Exclude<StoreRequest, { type: 'cancel' }>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      for await (const response of this.#responses(channel.peerId, request, signal)) {
        if (signal.aborted) return;
        await channel.send(response);
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#components.logger.debug(
        { peerId: channel.peerId, type: request.type, err: error },
        'a question about the store failed',
      );
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'TRANSFER_PEER_REFUSED';
      const message = messageOf(error).slice(0, 2_000);
      await channel
        .send({ type: 'error', id: request.id, code: code.slice(0, 64), message })
        // The channel itself is gone: its reading loop ends and deals with that.
        .catch(() => undefined);
    }
  }

  async *#responses(
    peerId: string,
    request: Exclude<StoreRequest, { type: 'cancel' }>,
    signal: AbortSignal,
  ): AsyncGenerator<StoreResponse, void, undefined> {
    const { id } = request;
    switch (request.type) {
      case 'have':
        yield { type: 'have', id, valid: [...(await this.#components.store.validPaths(request.paths))] };
        return;
      case 'closure-infos':
        // Who asks this is about to ask for a ticket.
        this.#components.tickets.prepare();
        for (const page of pages(
          this.#told(await this.#closures.of(request.paths, request.exclude, signal)),
        )) {
          const vouch = vouchForPage(page.infos, this.#components.signingKey);
          yield { type: 'closure-infos', id, ...page, vouch };
        }
        return;
      case 'path-infos': {
        const found = await this.#components.store.pathsFromHashParts(request.hashParts);
        const valid = await this.#kept.validPaths([...found.values()]);
        for (const page of pages(this.#told(await this.#closures.infosOf([...valid])))) {
          yield { type: 'path-infos', id, ...page };
        }
        return;
      }
      case 'bulk-ticket': {
        const ticket = await this.#components.tickets.issueTicket(peerId);
        yield { type: 'bulk-ticket', id, version: BULK_VERSION, ...ticket };
      }
    }
  }

  #told(infos: PathDescription[]): PathDescription[] {
    this.#components.onTold?.(infos.map(({ path }) => path));
    return infos;
  }
}

/** Cuts infos into messages of bounded size; the last is marked and may be the only one, and empty. */
function* pages(
  infos: readonly PathDescription[],
): Generator<{ infos: Extract<StoreResponse, { type: 'closure-infos' }>['infos']; last: boolean }> {
  let page: PathDescription[] = [];
  let bytes = 0;
  const take = () =>
    page.map((info) => ({ ...info, references: [...info.references], signatures: [...info.signatures] }));
  for (const info of infos) {
    if (bytes > INFO_PAGE_BYTES) {
      yield { infos: take(), last: false };
      page = [];
      bytes = 0;
    }
    page.push(info);
    bytes += estimatedBytes(info);
  }
  yield { infos: take(), last: true };
}

function estimatedBytes(info: PathDescription): number {
  const lengths = (texts: readonly string[]) => texts.reduce((sum, text) => sum + text.length + 3, 0);
  return 200 + info.path.length + lengths(info.references) + lengths(info.signatures);
}
