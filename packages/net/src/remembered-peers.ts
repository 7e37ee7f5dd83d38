import { join } from 'node:path';
import * as v from 'valibot';
import { readStateFile, writeFileAtomically } from './atomic-file.ts';
import type { Clock, Timer } from './clock.ts';
import { MAX_ADDRESSES_PER_PEER, MAX_REMEMBERED_PEERS, REMEMBER_DELAY_MS } from './constants.ts';
import type { Logger } from './logger.ts';

const fileSchema = v.object({
  version: v.literal(1),
  peers: v.pipe(
    v.array(
      v.object({
        peerId: v.pipe(v.string(), v.maxLength(64)),
        addresses: v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.maxLength(MAX_ADDRESSES_PER_PEER)),
        lastSeenMs: v.number(),
      }),
    ),
    v.maxLength(MAX_REMEMBERED_PEERS),
  ),
});

interface Remembered {
  /** Multiaddrs without peer id, the one that worked last first. */
  addresses: string[];
  lastSeenMs: number;
}

/** Where members were last reached, kept in `stateDir/peers.json`: what finds the mesh again on a LAN without multicast. */
export class RememberedPeers {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #peers: Map<string, Remembered>;
  #timer: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, clock: Clock, logger: Logger, peers: Map<string, Remembered>) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
    this.#peers = peers;
  }

  static async load(init: { stateDir: string; clock: Clock; logger: Logger }): Promise<RememberedPeers> {
    const path = join(init.stateDir, 'peers.json');
    const peers = new Map<string, Remembered>();
    const parsed = v.safeParse(fileSchema, (await readStateFile(path)) ?? { version: 1, peers: [] });
    if (parsed.success) {
      for (const { peerId, addresses, lastSeenMs } of parsed.output.peers)
        peers.set(peerId, { addresses, lastSeenMs });
    } else {
      // Addresses are found again; refusing to start over them would be worse than losing them.
      init.logger.warn(
        { path },
        'The remembered addresses are garbled or from a newer version and were ignored.',
      );
    }
    return new RememberedPeers(path, init.clock, init.logger, peers);
  }

  peerIds(): string[] {
    return [...this.#peers.keys()];
  }

  get(peerId: string): Remembered | undefined {
    return this.#peers.get(peerId);
  }

  /** `peerId` is alive and can be reached there; the newest address comes first. */
  remember(peerId: string, addresses: readonly string[]): void {
    const known = this.#peers.get(peerId);
    const merged = [...new Set([...addresses, ...(known?.addresses ?? [])])].slice(0, MAX_ADDRESSES_PER_PEER);
    const changed = known === undefined || merged.join() !== known.addresses.join();
    // Deleting first keeps the map in order of last sight, oldest first.
    this.#peers.delete(peerId);
    this.#peers.set(peerId, { addresses: merged, lastSeenMs: this.#clock.now() });
    while (this.#peers.size > MAX_REMEMBERED_PEERS) this.#peers.delete(this.#peers.keys().next().value!);
    if (changed) this.#saveSoon();
  }

  forget(peerId: string): void {
    if (this.#peers.delete(peerId)) this.#saveSoon();
  }

  /** Writes what is known now. */
  async save(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const peers = [...this.#peers].map(([peerId, { addresses, lastSeenMs }]) => ({
      peerId,
      addresses,
      lastSeenMs,
    }));
    const write = this.#writing.then(() =>
      writeFileAtomically(this.#path, `${JSON.stringify({ version: 1, peers }, null, 1)}\n`),
    );
    // The next write has its turn whatever becomes of this one, whose error its own caller gets.
    this.#writing = write.catch(() => undefined);
    await write;
  }

  #saveSoon(): void {
    this.#timer ??= this.#clock.after(REMEMBER_DELAY_MS, () => {
      this.save().catch((error: unknown) => {
        this.#logger.warn({ error }, 'The addresses of peers could not be written.');
      });
    });
  }
}
