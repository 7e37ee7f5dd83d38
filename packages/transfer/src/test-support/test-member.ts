import { Emitter, generateIdentity, type Identity, silentLogger } from '@mesh/net';
import { signingKeyFromSeed } from '@mesh/nix';
import { openVerifiedFrom } from '../data-plane.ts';
import { type BadPeer, Fetcher, type TransferEvents } from '../fetcher.ts';
import { agentVouchers, signingKeyName } from '../path-info-verification.ts';
import { NarConnections } from '../side-channel/nar-connections.ts';
import { NarServer } from '../side-channel/nar-server.ts';
import { wholeNars } from '../side-channel/whole-nars.ts';
import { StoreClient } from '../store-client.ts';
import { StoreServer } from '../store-server.ts';
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

  constructor(lan: MemoryLan, name: string) {
    const { peerId, seed } = this.identity;
    this.net = lan.join(peerId, name);
    this.client = new StoreClient(this.net);
    this.#connections = new NarConnections((holder) => this.client.bulkTicket(holder));
    this.narServer = new NarServer({ host: '127.0.0.1' }, { shelf: this.store, now: () => 0 });
    const open = openVerifiedFrom(wholeNars(this.#connections));
    const events = new Emitter<TransferEvents>((error) => {
      throw error;
    });
    events.on('bad-peer', (fault) => this.faults.push(fault));
    new StoreServer({
      net: this.net,
      store: this.store,
      signingKey: signingKeyFromSeed(signingKeyName(peerId), seed),
      tickets: { issueTicket: (asker) => this.narServer.issueTicket(asker), prepare: () => undefined },
      logger: silentLogger,
    }).start();
    this.fetcher = new Fetcher({
      net: this.net,
      store: this.store,
      client: this.client,
      dataPlane: {
        prepare: () => undefined,
        import: async (items, { signal, onPath }) => {
          for (const item of items) {
            const chunks: Uint8Array[] = [];
            for await (const chunk of open(item, signal)) chunks.push(chunk);
            this.store.register(item.info, Buffer.concat(chunks));
            this.imported.push(item.info.path);
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
