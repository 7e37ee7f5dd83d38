import type { Clock, Timer } from '@mesh/net';
import type { DaemonClient } from '@mesh/nix';
import { OUTPUT_ROOT_MS } from '../constants.ts';

/**
 * Keeps what was built for a home alive: outputs stay where they were built until somebody needs them, so garbage collection must
 * not take them meanwhile. One daemon connection a home holds temporary roots; it ends with the home's work.
 */
export class OutputRoots {
  readonly #clock: Clock;
  readonly #connect: () => Promise<DaemonClient>;
  readonly #clients = new Map<string, Promise<DaemonClient>>();
  readonly #releases = new Map<string, Timer>();

  constructor(clock: Clock, connect: () => Promise<DaemonClient>) {
    this.#clock = clock;
    this.#connect = connect;
  }

  async keep(home: string, paths: string[]): Promise<void> {
    const client = await this.#client(home);
    await client.addTempRoots(paths);
  }

  /** The home has work again: what was built for it stays. */
  retain(home: string): void {
    this.#releases.get(home)?.cancel();
    this.#releases.delete(home);
  }

  /** The home has nothing left to build, or is gone, but may still have to fetch its results. */
  releaseSoon(home: string): void {
    this.retain(home);
    this.#releases.set(
      home,
      this.#clock.after(OUTPUT_ROOT_MS, () => void this.#release(home)),
    );
  }

  async #release(home: string): Promise<void> {
    this.retain(home);
    const client = this.#clients.get(home);
    this.#clients.delete(home);
    // A connection that could not be made holds no roots.
    await client?.then(
      (open) => open.close(),
      () => undefined,
    );
  }

  async releaseAll(): Promise<void> {
    await Promise.all([...this.#clients.keys()].map((home) => this.#release(home)));
  }

  /** The home's connection; one that broke, or never came about, is replaced. */
  async #client(home: string): Promise<DaemonClient> {
    const known = this.#clients.get(home);
    if (known !== undefined) {
      // Whoever asked for a connection that never came about was told so.
      const client = await known.catch(() => undefined);
      if (client !== undefined && !client.closed) return client;
      if (this.#clients.get(home) !== known) return this.#client(home);
    }
    const opening = this.#connect();
    this.#clients.set(home, opening);
    return opening;
  }
}
