import type { Clock, Timer } from '@mesh/net';
import { DaemonClient, type DaemonOptions } from '@mesh/nix';
import { IDLE_BUILD_CONNECTION_MS } from '../constants.ts';

/** However busy it is: what a connection has rooted must be free for garbage collection some time. */
const MAX_CONNECTION_AGE_MS = 60_000;

/**
 * Connections to nix-daemon that builds run on, one build at a time each. Kept for the next build, because connecting costs a fork of
 * the daemon (5 to 8 ms). What temporary roots a connection holds it holds until it has idled for a while, or is old.
 */
export class BuildConnections {
  readonly #clock: Clock;
  readonly #connect: () => Promise<DaemonClient>;
  readonly #idle: { client: DaemonClient; timer: Timer }[] = [];
  /** Options in force on each connection, so that they are sent again only when they change. */
  readonly #options = new WeakMap<DaemonClient, string>();
  readonly #openedMs = new WeakMap<DaemonClient, number>();
  #closed = false;

  constructor(clock: Clock, daemonSocket: string | undefined) {
    this.#clock = clock;
    this.#connect = () =>
      DaemonClient.connect(daemonSocket === undefined ? {} : { socketPath: daemonSocket });
  }

  /** A connection for one build, with these options in force. @throws NixError of the daemon */
  async take(options: DaemonOptions): Promise<DaemonClient> {
    const client = this.#kept() ?? (await this.#open());
    const wanted = JSON.stringify(options);
    if (this.#options.get(client) === wanted) return client;
    try {
      await client.setOptions(options);
    } catch (error) {
      client.close();
      throw error;
    }
    this.#options.set(client, wanted);
    return client;
  }

  /** Only after a build that ended by itself; any other connection is to be closed instead. */
  giveBack(client: DaemonClient): void {
    const ageMs = this.#clock.monotonic() - (this.#openedMs.get(client) ?? 0);
    if (this.#closed || ageMs >= MAX_CONNECTION_AGE_MS) client.close();
    if (client.closed) return;
    const timer = this.#clock.after(IDLE_BUILD_CONNECTION_MS, () => {
      const at = this.#idle.findIndex((kept) => kept.client === client);
      if (at >= 0) this.#idle.splice(at, 1);
      client.close();
    });
    this.#idle.push({ client, timer });
  }

  close(): void {
    this.#closed = true;
    for (const { client, timer } of this.#idle.splice(0)) {
      timer.cancel();
      client.close();
    }
  }

  async #open(): Promise<DaemonClient> {
    const client = await this.#connect();
    this.#openedMs.set(client, this.#clock.monotonic());
    return client;
  }

  #kept(): DaemonClient | undefined {
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      kept.timer.cancel();
      if (!kept.client.closed) return kept.client;
    }
    return undefined;
  }
}
