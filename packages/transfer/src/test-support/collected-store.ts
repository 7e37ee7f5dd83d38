import type { RootConnection } from '../roots/temp-roots.ts';

/** A store of names with Nix's rules of garbage collection: what no root leads to goes, and roots go with their connections. */
export class CollectedStore {
  readonly #references = new Map<string, readonly string[]>();
  readonly #connections = new Set<Connection>();
  /** Connections ever made. */
  connected = 0;

  get connections(): number {
    return this.#connections.size;
  }

  get valid(): string[] {
    return [...this.#references.keys()];
  }

  add(path: string, references: readonly string[] = []): string {
    this.#references.set(path, references);
    return path;
  }

  collect(): void {
    const alive = new Set<string>();
    const reach = (path: string): void => {
      const references = this.#references.get(path);
      if (references === undefined || alive.has(path)) return;
      alive.add(path);
      references.forEach(reach);
    };
    for (const { roots } of this.#connections) roots.forEach(reach);
    for (const path of this.valid) if (!alive.has(path)) this.#references.delete(path);
  }

  /** Ends all connections, as a daemon that is started again does. */
  restart(): void {
    for (const connection of this.#connections) connection.close();
  }

  readonly connect = async (): Promise<RootConnection> => {
    const whileOpen = async <T>(act: () => T): Promise<T> => {
      if (connection.closed) throw new Error('the connection is closed');
      return act();
    };
    const connection: Connection = {
      roots: new Set(),
      closed: false,
      close: () => {
        connection.closed = true;
        this.#connections.delete(connection);
      },
      keepAlive: () => undefined,
      addTempRoots: (paths) =>
        whileOpen(() => {
          for (const path of paths) connection.roots.add(path);
        }),
      queryValidPaths: (paths) =>
        whileOpen(() => new Set([...paths].filter((path) => this.#references.has(path)))),
    };
    this.connected += 1;
    this.#connections.add(connection);
    return connection;
  };
}

interface Connection extends RootConnection {
  closed: boolean;
  readonly roots: Set<string>;
}
