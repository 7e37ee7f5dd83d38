import type { Clock, Timer } from '@mesh/net';
import type { DaemonClient, DaemonOptions } from '@mesh/nix';
import { BUILD_CONNECTION_AGE_MS, IDLE_BUILD_CONNECTION_MS } from '../constants.ts';

/** How long connections are kept, unused and altogether: what one has rooted must be free for garbage collection some time. */
export interface ConnectionLife {
  readonly idleMs: number;
  readonly ageMs: number;
}

const LOCAL: ConnectionLife = { idleMs: IDLE_BUILD_CONNECTION_MS, ageMs: BUILD_CONNECTION_AGE_MS };

/** A daemon connection that builds run on, one at a time, and what is known of it. */
export interface BuildConnection {
  readonly client: DaemonClient;
  /** Paths seen to be valid after they were rooted here: they stay so for as long as the connection lives, unasked. */
  readonly atHand: Set<string>;
}

interface Kept extends BuildConnection {
  readonly openedMs: number;
  /** Options in force, so that they are sent again only when they change. */
  options?: string;
  timer?: Timer;
}

/**
 * Connections to nix-daemon that builds run on. Kept for the next build, because connecting costs a fork of the daemon (5 to 8 ms),
 * and because what the last build made is at hand for the next without a question. What temporary roots a connection holds it
 * holds until it has idled for a while, or is old.
 */
export class BuildConnections {
  readonly #clock: Clock;
  readonly #connect: () => Promise<DaemonClient>;
  readonly #life: ConnectionLife;
  /** The last one used first: a chain of builds finds its inputs at hand. */
  readonly #idle: Kept[] = [];
  /** Too old for another build; what they built is not rooted elsewhere yet. */
  readonly #retired = new Set<Kept>();
  #closed = false;

  /** @param connect to the daemon that builds run on */
  constructor(clock: Clock, connect: () => Promise<DaemonClient>, life: ConnectionLife = LOCAL) {
    this.#clock = clock;
    this.#connect = connect;
    this.#life = life;
  }

  /** A connection for one build, with these options in force. @throws NixError of the daemon */
  async take(options: DaemonOptions): Promise<BuildConnection> {
    const connection = this.#kept() ?? (await this.#open());
    try {
      await this.setOptions(connection, options);
    } catch (error) {
      connection.client.close();
      throw error;
    }
    return connection;
  }

  /** Puts other options in force, for what is built next. @throws NixError of the daemon */
  async setOptions(connection: BuildConnection, options: DaemonOptions): Promise<void> {
    const kept = connection as Kept;
    const wanted = JSON.stringify(options);
    if (kept.options === wanted) return;
    await kept.client.setOptions(options);
    kept.options = wanted;
  }

  /** Only after a build that ended by itself; any other connection is to be closed instead. */
  giveBack(connection: BuildConnection): void {
    const kept = connection as Kept;
    if (this.#closed) kept.client.close();
    if (kept.client.closed) return;
    const isOld = this.#clock.monotonic() - kept.openedMs >= this.#life.ageMs;
    kept.timer = this.#clock.after(this.#life.idleMs, () => {
      if (!this.#retired.delete(kept)) this.#idle.splice(this.#idle.indexOf(kept), 1);
      kept.client.close();
    });
    if (isOld) this.#retired.add(kept);
    else this.#idle.push(kept);
  }

  close(): void {
    this.#closed = true;
    for (const { client, timer } of [...this.#idle.splice(0), ...this.#retired]) {
      timer?.cancel();
      client.close();
    }
    this.#retired.clear();
  }

  async #open(): Promise<Kept> {
    return { client: await this.#connect(), atHand: new Set(), openedMs: this.#clock.monotonic() };
  }

  #kept(): Kept | undefined {
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      kept.timer?.cancel();
      if (!kept.client.closed) return kept;
    }
    return undefined;
  }
}
