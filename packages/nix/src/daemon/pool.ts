import { NixError } from '../errors.ts';
import { type ConnectOptions, DaemonClient } from './client.ts';
import { POOL_IDLE_MS, POOL_MAX_AGE_MS } from './constants.ts';

export interface PoolOptions extends ConnectOptions {
  /** Connections at once; further users wait for one. Default 4. */
  readonly max?: number;
  /** A connection nobody uses is closed after this. */
  readonly idleMs?: number;
  /** A connection older than this is not lent again. */
  readonly maxAgeMs?: number;
}

/**
 * Connections kept for queries: connecting costs some milliseconds and a fork of the daemon. Not kept for long: the daemon roots what
 * came into the store over a connection, or was asked for, until that connection ends.
 */
export class DaemonPool {
  readonly #options: ConnectOptions;
  readonly #max: number;
  readonly #idleMs: number;
  readonly #maxAgeMs: number;
  readonly #idle: { client: DaemonClient; timer: NodeJS.Timeout }[] = [];
  /** With the time each was opened, of a clock that only goes forward. */
  readonly #all = new Map<DaemonClient, number>();
  readonly #waiting: (() => void)[] = [];
  #opening = 0;
  #closed = false;

  constructor(options: PoolOptions = {}) {
    const { max, idleMs, maxAgeMs, ...connect } = options;
    this.#options = connect;
    this.#max = max ?? 4;
    this.#idleMs = idleMs ?? POOL_IDLE_MS;
    this.#maxAgeMs = maxAgeMs ?? POOL_MAX_AGE_MS;
  }

  /**
   * Lends a connection for as long as `work` runs. A connection that broke is not kept; one the daemon closed
   * while it idled is replaced before it is lent.
   * @throws NixError NIX_DAEMON_CLOSED after {@link close}; whatever connecting and `work` throw
   */
  async use<T>(work: (client: DaemonClient) => Promise<T>): Promise<T> {
    const client = await this.#take();
    client.keepAlive(true);
    try {
      return await work(client);
    } finally {
      this.#giveBack(client);
    }
  }

  /** Closes every connection, lent ones too. */
  close(): void {
    this.#closed = true;
    for (const client of this.#all.keys()) client.close();
    this.#all.clear();
    for (const { timer } of this.#idle.splice(0)) clearTimeout(timer);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #take(): Promise<DaemonClient> {
    for (;;) {
      if (this.#closed) {
        throw new NixError(
          'NIX_DAEMON_CLOSED',
          'The connections to the nix-daemon are closed: the program is ending.',
        );
      }
      const idle = this.#idle.pop();
      if (idle !== undefined) {
        clearTimeout(idle.timer);
        if (!idle.client.closed) return idle.client;
        this.#all.delete(idle.client);
      } else if (this.#all.size + this.#opening < this.#max) {
        return this.#open();
      } else {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    }
  }

  async #open(): Promise<DaemonClient> {
    this.#opening += 1;
    try {
      const client = await DaemonClient.connect(this.#options);
      if (this.#closed) client.close();
      this.#all.set(client, performance.now());
      return client;
    } finally {
      this.#opening -= 1;
      this.#waiting.shift()?.();
    }
  }

  #giveBack(client: DaemonClient): void {
    const openedMs = this.#all.get(client) ?? 0;
    if (this.#closed || performance.now() - openedMs >= this.#maxAgeMs) client.close();
    if (client.closed) this.#all.delete(client);
    else this.#keep(client);
    this.#waiting.shift()?.();
  }

  #keep(client: DaemonClient): void {
    client.keepAlive(false);
    const timer = setTimeout(() => {
      this.#idle.splice(
        this.#idle.findIndex((idle) => idle.client === client),
        1,
      );
      this.#all.delete(client);
      client.close();
    }, this.#idleMs);
    timer.unref();
    this.#idle.push({ client, timer });
  }
}
