import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { DaemonClient, DaemonPool, type PathInfo } from '@mesh/nix';
import { CoalescedQuestions } from './coalesced-questions.ts';
import { isPeerFault, isTransferError } from './errors.ts';
import { Gateway } from './gateway.ts';
import { daemonImporter } from './import/daemon-importer.ts';
import type { ImportItem, ImportOptions, OpenVerified, StoreImporter } from './import/import.ts';
import { nixCopyImporter } from './import/nix-copy-importer.ts';
import { WINDOW_BUDGET_BYTES } from './pieces/limits.ts';
import type { NarReport } from './pieces/nar-report.ts';
import { PartialNars } from './pieces/partial-nars.ts';
import { PieceNars } from './pieces/piece-nars.ts';
import { WindowBudget } from './pieces/window-budget.ts';
import { TempRoots } from './roots/temp-roots.ts';
import { daemonNars } from './side-channel/daemon-nars.ts';
import { NarConnections, type TicketAsker } from './side-channel/nar-connections.ts';
import { NarServer, type NarServerCounters, type NarTicket } from './side-channel/nar-server.ts';
import { PackedBlocks } from './side-channel/packed-blocks.ts';
import { StoreNars } from './side-channel/store-nars.ts';
import { LocalNars } from './substituter/local-nars.ts';
import type { NarStreams, NarWish } from './substituter/nar-streams.ts';

/** Everything that touches the bytes of NARs, serving and fetching. */
export interface DataPlane extends NarStreams {
  /** Work is about to come: makes ready for it meanwhile. */
  prepare(): void;
  /** A key for a peer to one side-channel connection to this agent. */
  issueTicket(peerId: string): Promise<NarTicket>;
  /** Brings verified infos' paths into this machine's store. Throws what a `StoreImporter` throws. */
  import(items: readonly ImportItem[], options: ImportOptions): Promise<void>;
  /** Closes all connections from and to a peer that left. */
  dropPeer(peerId: string): void;
  /** Bytes a second that serving may take of the network; undefined for no limit. */
  setUploadLimit(bytesPerS: number | undefined): void;
  counters(): Promise<DataPlaneCounters>;
  close(): Promise<void>;
}

export interface DataPlaneCounters extends NarServerCounters {
  /** Side-channel connections of others open here. */
  connections: number;
  /** NAR bytes brought in since the start. */
  fetchedBytes: number;
  fetchedPaths: number;
}

/** Plain data: it crosses into a thread. */
export interface DataPlaneInit {
  /** Address and port the side channel listens on; all addresses and a free port when absent. */
  readonly listenHost?: string;
  readonly listenPort?: number;
  readonly daemonSocket?: string;
  /** Directory for what `nix copy` remembers. */
  readonly cacheDir: string;
  /** See {@link DataPlane.setUploadLimit}. */
  readonly uploadBytesPerS?: number;
}

export interface DataPlaneComponents {
  readonly askTicket: TicketAsker;
  readonly now: () => number;
}

/**
 * Daemon connections for serving and for importing. Apart from each other: two agents that fetch from one another would
 * otherwise each hold with imports the connections that the other's imports wait for.
 */
const SERVING_CONNECTIONS = 8;
const IMPORTING_CONNECTIONS = 8;

/** Path infos of NARs to be served: those of many small ones are asked for together. */
const INFO_QUESTIONS = { keysPerQuestion: 256, questionsAtOnce: 2 };

/** The kernel brings its figure up to date every five seconds. */
const LOAD_KEPT_MS = 1_000;

/** Cores without work, over the last minute. */
function freeCores(now: () => number): () => number {
  let free = 0;
  let readAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (now() - readAtMs >= LOAD_KEPT_MS) {
      free = availableParallelism() - loadavg()[0]!;
      readAtMs = now();
    }
    return free;
  };
}

/** The clock of a thread that is no reason for its process to stay. */
const threadClock: ConstructorParameters<typeof TempRoots>[0]['clock'] = {
  monotonic: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** The data plane in the thread it is made in. */
export class LocalDataPlane implements DataPlane {
  readonly #servingPool: DaemonPool;
  readonly #importingPool: DaemonPool;
  readonly #servingRoots: TempRoots;
  readonly #storeNars: StoreNars;
  readonly #server: NarServer;
  readonly #peers: NarConnections;
  readonly #nars: LocalNars;
  readonly #gateway: Gateway;
  readonly #daemon: StoreImporter;
  readonly #nixCopy: StoreImporter;
  readonly #partials: PartialNars;
  readonly #reports = new WeakMap<ImportItem, (report: NarReport) => void>();
  #fetchedBytes = 0;
  #fetchedPaths = 0;

  constructor(init: DataPlaneInit, components: DataPlaneComponents) {
    const socket = init.daemonSocket === undefined ? {} : { socketPath: init.daemonSocket };
    this.#servingPool = new DaemonPool({ ...socket, max: SERVING_CONNECTIONS });
    this.#importingPool = new DaemonPool({ ...socket, max: IMPORTING_CONNECTIONS });
    this.#servingRoots = new TempRoots({ clock: threadClock, connect: () => DaemonClient.connect(socket) });
    const infos = new CoalescedQuestions<PathInfo>(
      (paths) => this.#servingPool.use(async (daemon) => await daemon.queryPathInfos(paths)),
      INFO_QUESTIONS,
    );
    this.#storeNars = new StoreNars({
      root: async (path) => (await this.#servingRoots.promise([path])).has(path),
      validPaths: (paths) => this.#servingPool.use(async (daemon) => await daemon.queryValidPaths(paths)),
      pathInfo: (path) => infos.ask(path),
      openNar: daemonNars(this.#servingPool),
    });
    const shelf = this.#storeNars;
    this.#partials = new PartialNars({
      shelf,
      isValid: (path) => this.#servingPool.use(async (daemon) => daemon.isValidPath(path)),
    });
    this.#server = new NarServer(
      {
        ...(init.listenHost === undefined ? {} : { host: init.listenHost }),
        ...(init.listenPort === undefined ? {} : { port: init.listenPort }),
      },
      {
        shelf: this.#partials,
        board: this.#partials,
        compressor: {
          blocks: new PackedBlocks(join(init.cacheDir, 'zstd')),
          freeCores: freeCores(components.now),
        },
        now: components.now,
      },
    );
    this.#server.setUploadLimit(init.uploadBytesPerS);
    this.#peers = new NarConnections(components.askTicket);
    this.#nars = new LocalNars(shelf, this.#peers);
    const pieces = new PieceNars({
      peers: this.#peers,
      budget: new WindowBudget(WINDOW_BUDGET_BYTES),
      directory: join(init.cacheDir, 'spool'),
      partials: this.#partials,
      now: components.now,
      random: Math.random,
    });
    const open: OpenVerified = (item, signal, hash) =>
      pieces.open(item, signal, (report) => this.#reports.get(item)?.(report), hash);
    this.#gateway = new Gateway(open);
    this.#daemon = daemonImporter(this.#importingPool, open, (item) => pieces.refused(item));
    this.#nixCopy = nixCopyImporter({ cacheDir: init.cacheDir, ...socket }, this.#gateway);
  }

  prepare(): void {
    // Ready as soon as it is made.
  }

  issueTicket(peerId: string): Promise<NarTicket> {
    return this.#server.issueTicket(peerId);
  }

  async import(items: readonly ImportItem[], options: ImportOptions): Promise<void> {
    for (const item of items) this.#reports.set(item, (report) => options.onReport?.(item, report));
    const heardOf = new Set<ImportItem>();
    const heard: ImportOptions = {
      signal: options.signal,
      onPath: (item) => {
        if (heardOf.has(item)) return;
        heardOf.add(item);
        this.#fetchedBytes += item.info.narSize;
        this.#fetchedPaths += 1;
        this.#partials.valid(item.info.path);
        options.onPath(item);
      },
    };
    try {
      await this.#daemon.import(items, heard);
    } catch (error) {
      const isOurs = isTransferError(error) && error.code === 'TRANSFER_IMPORT_FAILED';
      // `nix copy` takes a `.drv` for what it builds in some versions and for itself in others: it gets none.
      const isForNix = isOurs && items.every(({ info }) => !info.path.endsWith('.drv'));
      if (!isForNix || options.signal.aborted) throw error;
      await this.#copyRest(items, heard, error);
    }
  }

  /** What the daemon did not take from us it may take from Nix's own program; where that fails too, the first error counts. */
  async #copyRest(items: readonly ImportItem[], options: ImportOptions, first: Error): Promise<void> {
    try {
      const paths = items.map(({ info }) => info.path);
      const valid = await this.#importingPool.use(async (daemon) => await daemon.queryValidPaths(paths));
      const left = items.filter(({ info }) => !valid.has(info.path));
      await this.#nixCopy.import(left, options);
    } catch (error) {
      options.signal.throwIfAborted();
      throw isPeerFault(error) ? error : first;
    }
  }

  openNar(wish: NarWish, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#nars.openNar(wish, signal);
  }

  dropPeer(peerId: string): void {
    this.#server.dropPeer(peerId);
    this.#peers.dropPeer(peerId);
  }

  setUploadLimit(bytesPerS: number | undefined): void {
    this.#server.setUploadLimit(bytesPerS);
  }

  async counters(): Promise<DataPlaneCounters> {
    return {
      ...this.#server.counters,
      connections: this.#server.connections,
      fetchedBytes: this.#fetchedBytes,
      fetchedPaths: this.#fetchedPaths,
    };
  }

  async close(): Promise<void> {
    this.#peers.close();
    await Promise.all([this.#server.close(), this.#gateway.close()]);
    this.#storeNars.close();
    this.#servingRoots.close();
    this.#servingPool.close();
    this.#importingPool.close();
  }
}
