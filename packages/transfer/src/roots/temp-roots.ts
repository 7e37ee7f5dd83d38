import type { Clock, Timer } from '@mesh/net';
import type { DaemonClient } from '@mesh/nix';
import { MAX_PATHS_PER_CONNECTION, MAX_ROOT_CONNECTIONS, PROMISED_MS } from './constants.ts';

/** What is asked of a connection that temporary roots live on. */
export interface RootConnection extends Pick<DaemonClient, 'closed' | 'close' | 'keepAlive'> {
  addTempRoots(paths: Iterable<string>): PromiseLike<void>;
  queryValidPaths(paths: Iterable<string>): PromiseLike<ReadonlySet<string>>;
}

export interface TempRootsComponents {
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
  /** A new connection to nix-daemon, for roots only. */
  readonly connect: () => Promise<RootConnection>;
}

/** Paths that stay for as long as somebody needs them. */
export interface RootHold {
  /**
   * Roots the paths, valid or not, and says which are valid now: those stay valid, with all they refer to, until {@link release}.
   * @throws NixError of the daemon
   */
  add(paths: Iterable<string>): Promise<ReadonlySet<string>>;
  /** They are not needed any more; they stay for up to PROMISED_MS. */
  release(): void;
}

/**
 * Temporary garbage collector roots on connections of their own to nix-daemon, which roots for as long as a connection lives.
 * Connections take turns, so that what was rooted long ago and is held by nobody may be collected.
 *
 * To look first and to root then would leave a gap, so every answer is looked up after rooting. Rooting a valid path keeps all it
 * refers to: Nix collects a path only where nothing rooted leads to it.
 */
export class TempRoots {
  readonly #components: TempRootsComponents;
  /** Oldest first; the last one takes new roots if it still may. */
  readonly #turns: Turn[] = [];
  #closed = false;

  constructor(components: TempRootsComponents) {
    this.#components = components;
  }

  /**
   * Roots the paths for PROMISED_MS at least.
   * @returns those that are valid, now that nobody can collect them
   * @throws NixError of the daemon
   */
  async promise(paths: Iterable<string>): Promise<ReadonlySet<string>> {
    const wanted = [...paths];
    return wanted.length === 0 ? new Set() : this.#current().add(wanted);
  }

  /** A hold with nothing in it yet. */
  hold(): RootHold {
    const held = new Set<string>();
    let turn: Turn | undefined;
    return {
      add: async (paths) => {
        const wanted = [...paths];
        if (wanted.length === 0) return new Set();
        if (turn === undefined || turn.broken) {
          turn?.leave();
          turn = this.#current();
          turn.enter();
          // With a connection that broke went all that was rooted on it.
          if (held.size > 0) await turn.add([...held]);
        }
        for (const path of wanted) held.add(path);
        return turn.add(wanted);
      },
      release: () => {
        turn?.leave();
        turn = undefined;
        held.clear();
      },
    };
  }

  /** Gives up all roots. */
  close(): void {
    this.#closed = true;
    for (const turn of this.#turns.splice(0)) turn.close();
  }

  #current(): Turn {
    for (const turn of this.#turns.filter(({ broken }) => broken)) turn.close();
    const last = this.#turns.at(-1);
    if (last?.takesMore) return last;
    const turn = new Turn(this.#components, () => {
      const at = this.#turns.indexOf(turn);
      if (at >= 0) this.#turns.splice(at, 1);
    });
    // One that ends for good roots nothing any more.
    if (this.#closed) turn.close();
    this.#turns.push(turn);
    const unheld = this.#turns.find((other) => other !== turn && !other.held);
    if (this.#turns.length > MAX_ROOT_CONNECTIONS) unheld?.close();
    return turn;
  }
}

/** One connection's time: it takes roots for PROMISED_MS and keeps them as long again, or until nobody holds them. */
class Turn {
  readonly #components: TempRootsComponents;
  readonly #onEnd: () => void;
  readonly #startedMs: number;
  readonly #rooted = new Set<string>();
  readonly #connection: Promise<RootConnection>;
  readonly #timer: Timer;
  #open: RootConnection | undefined;
  #holders = 0;
  #lapsed = false;
  #ended = false;

  constructor(components: TempRootsComponents, onEnd: () => void) {
    this.#components = components;
    this.#onEnd = onEnd;
    this.#startedMs = components.clock.monotonic();
    this.#timer = components.clock.after(2 * PROMISED_MS, () => {
      this.#lapsed = true;
      this.#endIfLeft();
    });
    this.#connection = this.#connect();
  }

  get broken(): boolean {
    return this.#ended || this.#open?.closed === true;
  }

  get held(): boolean {
    return this.#holders > 0;
  }

  get takesMore(): boolean {
    const isYoung = this.#components.clock.monotonic() - this.#startedMs < PROMISED_MS;
    return isYoung && !this.broken && this.#rooted.size < MAX_PATHS_PER_CONNECTION;
  }

  enter(): void {
    this.#holders += 1;
  }

  leave(): void {
    this.#holders -= 1;
    this.#endIfLeft();
  }

  async add(paths: readonly string[]): Promise<ReadonlySet<string>> {
    const connection = await this.#connection;
    try {
      const fresh = paths.filter((path) => !this.#rooted.has(path));
      if (fresh.length > 0) await connection.addTempRoots(fresh);
      for (const path of fresh) this.#rooted.add(path);
      return await connection.queryValidPaths(paths);
    } catch (error) {
      if (connection.closed) this.close();
      throw error;
    }
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer.cancel();
    this.#rooted.clear();
    this.#onEnd();
    if (this.#open !== undefined) this.#open.close();
    // One that never comes about is told to whoever asked for it.
    else void this.#connection.then((connection) => connection.close()).catch(() => undefined);
  }

  async #connect(): Promise<RootConnection> {
    try {
      this.#open = await this.#components.connect();
      // Roots alone are no reason for a process to stay.
      this.#open.keepAlive(false);
      return this.#open;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #endIfLeft(): void {
    if (this.#lapsed && this.#holders === 0) this.close();
  }
}
