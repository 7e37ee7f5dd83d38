import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Emitter, generateIdentity, type Identity, silentLogger, systemClock } from '@mesh/net';
import { signingKeyFromSeed } from '@mesh/nix';
import { type BadPeer, Fetcher, type TransferEvents } from '../fetcher.ts';
import { agentVouchers, signingKeyName } from '../path-info-verification.ts';
import { WINDOW_BUDGET_BYTES } from '../pieces/limits.ts';
import type { NarReport } from '../pieces/nar-report.ts';
import { PartialNars } from '../pieces/partial-nars.ts';
import { PieceNars } from '../pieces/piece-nars.ts';
import { WindowBudget } from '../pieces/window-budget.ts';
import { type RootConnection, TempRoots } from '../roots/temp-roots.ts';
import { NarConnections } from '../side-channel/nar-connections.ts';
import { NarServer } from '../side-channel/nar-server.ts';
import { StoreClient } from '../store-client.ts';
import { StoreServer, type StoreServerComponents } from '../store-server.ts';
import type { MemoryLan, MemoryNode } from './memory-net.ts';
import { MemoryStore } from './memory-store.ts';

/** A member with a store in memory; everything else is the real thing, side channel included. */
export class TestMember implements AsyncDisposable {
  readonly identity: Identity = generateIdentity();
  readonly store = new MemoryStore();
  readonly faults: BadPeer[] = [];
  /** Paths in the order they were imported. */
  readonly imported: string[] = [];
  readonly net: MemoryNode;
  readonly client: StoreClient;
  readonly narServer: NarServer;
  readonly fetcher: Fetcher;
  readonly #connections: NarConnections;

  /** @param options what the member is told of its own answers, and how it roots paths: not at all by default */
  constructor(
    lan: MemoryLan,
    name: string,
    options: Pick<StoreServerComponents, 'onTold'> & {
      readonly connect?: () => Promise<RootConnection>;
    } = {},
  ) {
    const { connect, ...hearing } = options;
    const roots = connect === undefined ? undefined : new TempRoots({ clock: systemClock, connect });
    const { peerId, seed } = this.identity;
    this.net = lan.join(peerId, name);
    this.client = new StoreClient(this.net);
    this.#connections = new NarConnections((holder) => this.client.bulkTicket(holder));
    const partials = new PartialNars({
      shelf: this.store,
      isValid: async (path) => this.store.infos.has(path),
    });
    const shelves = { shelf: partials, board: partials, now: () => 0 };
    this.narServer = new NarServer({ host: '127.0.0.1' }, shelves);
    const pieces = new PieceNars({
      peers: this.#connections,
      budget: new WindowBudget(WINDOW_BUDGET_BYTES),
      directory: join(tmpdir(), 'mesh-test-spool'),
      partials,
      now: () => performance.now(),
      random: Math.random,
    });
    const events = new Emitter<TransferEvents>((error) => {
      throw error;
    });
    events.on('bad-peer', (fault) => this.faults.push(fault));
    new StoreServer({
      net: this.net,
      store: this.store,
      ...hearing,
      ...(roots === undefined ? {} : { promises: roots }),
      signingKey: signingKeyFromSeed(signingKeyName(peerId), seed),
      tickets: { issueTicket: (asker) => this.narServer.issueTicket(asker), prepare: () => undefined },
      logger: silentLogger,
    }).start();
    this.fetcher = new Fetcher({
      net: this.net,
      store: this.store,
      ...(roots === undefined ? {} : { roots }),
      client: this.client,
      dataPlane: {
        prepare: () => undefined,
        import: async (items, { signal, onPath, onReport }) => {
          for (const item of items) {
            const chunks: Uint8Array[] = [];
            const hear = (report: NarReport) => onReport?.(item, report);
            for await (const chunk of pieces.open(item, signal, hear)) chunks.push(chunk);
            this.store.register(item.info, Buffer.concat(chunks));
            this.imported.push(item.info.path);
            partials.valid(item.info.path);
            onPath(item);
          }
        },
      },
      vouchers: agentVouchers(peerId, this.net, []),
      events,
      logger: silentLogger,
    });
  }

  get peerId(): string {
    return this.identity.peerId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    this.#connections.close();
    await this.narServer.close();
  }
}
