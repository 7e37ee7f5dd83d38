import { NixError } from '../errors.ts';
import { type ConnectOptions, DaemonClient } from './client.ts';

/** Connections kept for queries: connecting costs some milliseconds and a fork of the daemon. */
export class DaemonPool {
  readonly #options: ConnectOptions;
  readonly #max: number;
  readonly #idle: DaemonClient[] = [];
  readonly #all = new Set<DaemonClient>();
  readonly #waiting: (() => void)[] = [];
  #opening = 0;
  #closed = false;

  /** `max`: connections at once; further users wait for one. */
  constructor(options: ConnectOptions & { readonly max?: number } = {}) {
    const { max, ...connect } = options;
    this.#options = connect;
    this.#max = max ?? 4;
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
    for (const client of this.#all) client.close();
    this.#all.clear();
    this.#idle.length = 0;
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
        if (!idle.closed) return idle;
        this.#all.delete(idle);
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
      this.#all.add(client);
      return client;
    } finally {
      this.#opening -= 1;
      this.#waiting.shift()?.();
    }
  }

  #giveBack(client: DaemonClient): void {
    if (client.closed || this.#closed) this.#all.delete(client);
    else {
      client.keepAlive(false);
      this.#idle.push(client);
    }
    this.#waiting.shift()?.();
  }
}
