import { join } from 'node:path';
import { Emitter, type Identity, type Logger, type MeshNet, systemClock } from '@mesh/net';
import { DaemonClient, type DaemonPool, type PathInfo, signingKeyFromSeed } from '@mesh/nix';
import { type DataPlane, type DataPlaneCounters, type DataPlaneInit, LocalDataPlane } from './data-plane.ts';
import { ThreadDataPlane } from './data-plane-thread.ts';
import { Fetcher, type FetchOptions, type FetchResult, type TransferEvents } from './fetcher.ts';
import { Holdings, type HoldingsCounters } from './holdings/holdings.ts';
import type { ProbableHolders } from './holdings/probable-holders.ts';
import { daemonValidPaths } from './holdings/valid-paths.ts';
import { MemberPaths } from './member-paths.ts';
import type { TransferNet } from './net.ts';
import { agentVouchers, signingKeyName } from './path-info-verification.ts';
import { TempRoots } from './roots/temp-roots.ts';
import { signOutputs } from './sign-outputs.ts';
import type { SourceRates } from './source-rates.ts';
import { SourceRatesFile } from './source-rates-file.ts';
import { StoreClient } from './store-client.ts';
import { daemonStoreReader } from './store-reader.ts';
import { StoreServer } from './store-server.ts';
import { BinaryCache, type BinaryCacheInit, type BinaryCacheState } from './substituter/binary-cache.ts';
import { InputSources, type WantedInput } from './upstream/input-sources.ts';
import { DaemonUpstream } from './upstream/upstream.ts';
import { type WhoHasCounters, whoHas } from './who-has.ts';

export interface TransferInit {
  /** The agent's state directory; only `cache/` below it is used. */
  readonly stateDir: string;
  /** The nix-daemon's socket, where it is not Nix's own default. */
  readonly daemonSocket?: string;
  /** Address the side channel listens on; all of the machine's when absent. */
  readonly listenHost?: string;
  /** Port of the side channel; the system chooses when absent. */
  readonly listenPort?: number;
  /** `name:base64` each: keys whose signatures this machine's Nix takes. */
  readonly trustedPublicKeys?: readonly string[];
  /** As nix.conf has them; where absent, nothing is fetched from substituters. */
  readonly substituters?: readonly string[];
  /** The binary cache for any Nix on this machine; none where absent. */
  readonly binaryCache?: BinaryCacheInit;
  /** Without a thread, everything runs in the caller's: for tests. Default true. */
  readonly thread?: boolean;
}

export interface TransferComponents {
  readonly net: TransferNet & Pick<MeshNet, 'events'>;
  /** For queries and signing; NARs go through connections of the data plane's own. */
  readonly daemon: DaemonPool;
  readonly identity: Identity;
  readonly logger: Logger;
  /** Hears which paths of this machine's store a member was told of, because it wants them or what refers to them. */
  readonly onTold?: (paths: readonly string[]) => void;
}

export interface TransferCounters extends DataPlaneCounters {
  /** Times a member sent a bad signature, hash or path info. */
  badPeers: number;
  /** What members know of each other's holdings, and how well that answers. */
  holdings: HoldingsCounters & WhoHasCounters;
}

/** Store paths between machines: this agent's side of serving, finding, fetching and signing. */
export interface Transfer {
  readonly events: Emitter<TransferEvents>;
  /** This machine's key, as `trusted-public-keys` has it: all that is served here to plain Nix is signed with it. */
  readonly publicKey: string;
  /** What the members' summaries say about who has what. */
  readonly holders: ProbableHolders;
  /** Paths of members that do not come into this store. */
  readonly memberPaths: MemberPaths;
  /** Undefined where the agent has no binary cache. */
  readonly binaryCache: BinaryCacheState | undefined;
  /** Begins to serve the own store to members, and to this machine's Nix. */
  start(): void;
  stop(): Promise<void>;
  /** Something will be fetched or served soon: what takes time to start is started. */
  prepare(): void;
  /** See {@link InputSources.fetchClosure}. */
  fetchClosure(wanted: readonly WantedInput[], options?: FetchOptions): Promise<FetchResult>;
  /** See {@link Upstream.offered}. */
  offeredUpstream(wanted: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** See {@link whoHas}. */
  whoHas(
    paths: readonly string[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<Map<string, string[]>>;
  /** See {@link signOutputs}. */
  signOutputs(paths: readonly string[]): Promise<PathInfo[]>;
  /** These paths became valid here: members hear of them at once, not only when the watch finds them. */
  announce(paths: readonly string[]): void;
  /** Bytes a second that a fetch from this member is expected to make, as measured; a guess where nothing was. */
  bytesPerSFrom(peerId: string): number;
  /** Bytes a second that serving members may take of the network; undefined for no limit. */
  setUploadLimit(bytesPerS: number | undefined): void;
  counters(): Promise<TransferCounters>;
}

/** Puts the parts of this package together. */
export function createTransfer(init: TransferInit): (components: TransferComponents) => Transfer {
  return (components) => new AgentTransfer(init, components);
}

class AgentTransfer implements Transfer {
  readonly events: Emitter<TransferEvents>;
  readonly memberPaths: MemberPaths;
  readonly #components: TransferComponents;
  readonly #signingKey: ReturnType<typeof signingKeyFromSeed>;
  readonly #client: StoreClient;
  readonly #server: StoreServer;
  readonly #dataPlane: DataPlane;
  readonly #upstream: DaemonUpstream;
  readonly #sources: InputSources;
  readonly #roots: TempRoots;
  readonly #binaryCache: BinaryCache | undefined;
  readonly #holdings: Holdings;
  readonly #whoHas: WhoHasCounters = { questions: 0, savedQuestions: 0, wrongGuesses: 0 };
  readonly #ratesFile: SourceRatesFile;
  readonly #rates: SourceRates;
  #badPeers = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(init: TransferInit, components: TransferComponents) {
    const { net, daemon, identity, logger } = components;
    this.#components = components;
    this.events = new Emitter((error, event) => logger.error({ err: error, event }, 'a listener failed'));
    this.events.on('bad-peer', () => {
      this.#badPeers += 1;
    });
    this.#ratesFile = SourceRatesFile.open(join(init.stateDir, 'cache'));
    this.#rates = this.#ratesFile.rates;
    this.#signingKey = signingKeyFromSeed(signingKeyName(identity.peerId), identity.seed);
    this.#client = new StoreClient(net);
    const store = daemonStoreReader(daemon);
    this.#holdings = new Holdings({
      self: identity.peerId,
      net,
      store: daemonValidPaths(daemon),
      clock: systemClock,
      logger,
    });
    const daemonOptions = init.daemonSocket === undefined ? {} : { socketPath: init.daemonSocket };
    this.#roots = new TempRoots({ clock: systemClock, connect: () => DaemonClient.connect(daemonOptions) });
    this.#dataPlane = makeDataPlane(init, this.#client);
    this.#server = new StoreServer({
      net,
      store,
      promises: this.#roots,
      ...(components.onTold === undefined ? {} : { onTold: components.onTold }),
      signingKey: this.#signingKey,
      tickets: this.#dataPlane,
      logger,
    });
    const vouchers = agentVouchers(identity.peerId, net, init.trustedPublicKeys ?? []);
    this.#binaryCache =
      init.binaryCache === undefined
        ? undefined
        : new BinaryCache(init.binaryCache, {
            net,
            store,
            client: this.#client,
            holders: this.#holdings,
            bestFirst: (holders) => holders.toSorted((a, b) => this.#rates.rateOf(b) - this.#rates.rateOf(a)),
            vouchers,
            signingKey: this.#signingKey,
            nars: this.#dataPlane,
            events: this.events,
            logger,
          });
    this.memberPaths = new MemberPaths({ client: this.#client, vouchers, nars: this.#dataPlane, logger });
    const fetcher = new Fetcher({
      net,
      store,
      roots: this.#roots,
      client: this.#client,
      dataPlane: this.#dataPlane,
      vouchers,
      rates: this.#rates,
      probable: this.#holdings,
      events: this.events,
      logger,
    });
    const now = () => performance.now();
    this.#upstream = new DaemonUpstream(init, { now, logger });
    this.#sources = new InputSources({
      fetcher,
      upstream: this.#upstream,
      rates: this.#rates,
      net,
      whoHas: (paths, options) => this.whoHas(paths, options),
      roots: this.#roots,
      logger,
      now,
    });
  }

  get publicKey(): string {
    return this.#signingKey.publicKey;
  }

  get binaryCache(): BinaryCacheState | undefined {
    return this.#binaryCache?.state;
  }

  get holders(): ProbableHolders {
    return this.#holdings;
  }

  start(): void {
    this.#server.start();
    this.#holdings.start();
    void this.#binaryCache?.start();
    this.#unsubscribe = this.#components.net.events.on('member-down', (peerId) => {
      this.#client.dropPeer(peerId);
      this.#binaryCache?.dropPeer(peerId);
      this.#dataPlane.dropPeer(peerId);
    });
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#binaryCache?.stop();
    this.#upstream.close();
    this.#client.close();
    await this.#dataPlane.close();
    this.#roots.close();
    await this.#ratesFile.close();
  }

  prepare(): void {
    this.#dataPlane.prepare();
  }

  async fetchClosure(wanted: readonly WantedInput[], options?: FetchOptions): Promise<FetchResult> {
    const result = await this.#sources.fetchClosure(wanted, options);
    this.announce(wanted.map(({ path }) => path));
    return result;
  }

  offeredUpstream(wanted: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return this.#upstream.offered(wanted);
  }

  whoHas(
    paths: readonly string[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Map<string, string[]>> {
    const { net, logger } = this.#components;
    const components = {
      net,
      logger,
      client: this.#client,
      summaries: this.#holdings,
      counters: this.#whoHas,
    };
    return whoHas(paths, components, options);
  }

  announce(paths: readonly string[]): void {
    this.#holdings.announce(paths);
  }

  signOutputs(paths: readonly string[]): Promise<PathInfo[]> {
    return signOutputs(paths, { daemon: this.#components.daemon, signingKey: this.#signingKey });
  }

  bytesPerSFrom(peerId: string): number {
    return this.#rates.rateOf(peerId) * 1_000;
  }

  setUploadLimit(bytesPerS: number | undefined): void {
    this.#dataPlane.setUploadLimit(bytesPerS);
  }

  async counters(): Promise<TransferCounters> {
    return {
      ...(await this.#dataPlane.counters()),
      badPeers: this.#badPeers,
      holdings: { ...this.#holdings.counters(), ...this.#whoHas },
    };
  }
}

function makeDataPlane(init: TransferInit, client: StoreClient): DataPlane {
  const plain: DataPlaneInit = {
    cacheDir: join(init.stateDir, 'cache'),
    ...(init.daemonSocket === undefined ? {} : { daemonSocket: init.daemonSocket }),
    ...(init.listenHost === undefined ? {} : { listenHost: init.listenHost }),
    ...(init.listenPort === undefined ? {} : { listenPort: init.listenPort }),
  };
  const askTicket = (peerId: string, signal?: AbortSignal) =>
    client.bulkTicket(peerId, signal === undefined ? {} : { signal });
  return init.thread === false
    ? new LocalDataPlane(plain, { askTicket, now: () => performance.now() })
    : new ThreadDataPlane(plain, { askTicket });
}
