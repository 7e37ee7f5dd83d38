import { homedir } from 'node:os';
import type { Emitter, Logger } from '@mesh/net';
import type { SigningKey } from '@mesh/nix';
import type { TransferEvents } from '../fetcher.ts';
import type { ProbableHolders } from '../holdings/probable-holders.ts';
import type { TransferNet } from '../net.ts';
import type { Vouchers } from '../path-info-verification.ts';
import type { StoreClient } from '../store-client.ts';
import type { StoreReader } from '../store-reader.ts';
import { DEFAULT_PRIORITY } from './constants.ts';
import type { NarStreams } from './nar-streams.ts';
import { NixNegativeCache, nixCacheDirectories } from './nix-negative-cache.ts';
import { PathFinder } from './path-finder.ts';
import { Substituter, type SubstituterCounters } from './substituter.ts';

export interface BinaryCacheInit {
  /** On 127.0.0.1; 0 for any free one. */
  readonly port: number;
  readonly priority?: number;
}

export interface BinaryCacheComponents {
  readonly net: Pick<TransferNet, 'connectedMembers'>;
  readonly store: Pick<StoreReader, 'pathInfos' | 'pathsFromHashParts'>;
  readonly client: Pick<StoreClient, 'pathInfos' | 'label'>;
  readonly holders: ProbableHolders;
  /** Peer ids, in the order they should be asked for bytes. */
  readonly bestFirst: (holders: readonly string[]) => readonly string[];
  readonly vouchers: Vouchers;
  readonly signingKey: SigningKey;
  readonly nars: NarStreams;
  readonly events: Emitter<TransferEvents>;
  readonly logger: Pick<Logger, 'debug' | 'info' | 'warn'>;
}

/** What is to be known about the cache. */
export interface BinaryCacheState {
  /** `http://127.0.0.1:PORT`; undefined where its port could not be had, or before the start. */
  readonly url: string | undefined;
  readonly counters: SubstituterCounters;
}

/** The binary cache for any Nix on this machine, put together. */
export class BinaryCache {
  readonly #finder: PathFinder;
  readonly #substituter: Substituter;
  readonly #negative: NixNegativeCache;

  constructor({ port, priority = DEFAULT_PRIORITY }: BinaryCacheInit, components: BinaryCacheComponents) {
    const { events, logger, nars, client, bestFirst } = components;
    this.#finder = new PathFinder({
      ...components,
      now: () => performance.now(),
      onBadPeer: ({ peerId, path, code, message }) => {
        logger.warn({ peerId, path, code }, message);
        events.emit('bad-peer', { peerId, path, code, message });
      },
    });
    const hosts = ['127.0.0.1', 'localhost', '[::1]'];
    this.#negative = new NixNegativeCache(
      {
        urls: hosts.flatMap((host) => [`http://${host}:${port}`, `http://${host}:${port}/`]),
        directories: nixCacheDirectories(homedir(), process.env),
      },
      logger,
    );
    this.#substituter = new Substituter(
      { port, priority },
      {
        finder: this.#finder,
        nars,
        label: (peerId) => client.label(peerId),
        bestFirst,
        onAbsent: (gone) => this.#negative.noted(gone),
        logger,
      },
    );
  }

  get state(): BinaryCacheState {
    return { url: this.#substituter.url, counters: this.#substituter.counters };
  }

  async start(): Promise<void> {
    await this.#substituter.start();
    // An agent that ended in a hurry may have left some.
    if (this.#substituter.url !== undefined) await this.#negative.purge();
  }

  async stop(): Promise<void> {
    this.#negative.stop();
    await this.#substituter.stop();
  }

  dropPeer(peerId: string): void {
    this.#finder.dropPeer(peerId);
  }
}
