import { chmod, unlink } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { AgentError } from './errors.ts';

export interface SocketOptions {
  /** Permissions of the file: who may connect. */
  readonly mode: number;
  /** Clients at once; unlimited unless told. */
  readonly maxClients?: number;
}

/** A Unix socket that is served. */
export interface ListeningSocket {
  /** Breaks off every client, and resolves when the file is gone. */
  close(): Promise<void>;
}

/**
 * Serves a Unix socket in a directory that is there, in place of one that an agent which is no more left behind. A client that breaks off
 * is seen by its 'close'.
 * @throws AgentError AGENT_ALREADY_RUNNING where somebody answers there; what listening throws
 */
export async function listenOnSocket(
  path: string,
  { mode, maxClients }: SocketOptions,
  serve: (client: Socket) => void,
): Promise<ListeningSocket> {
  await removeStale(path);
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
    client.on('error', () => undefined);
    serve(client);
  });
  if (maxClients !== undefined) server.maxConnections = maxClients;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // Nobody may slip in between binding and chmod.
    const before = process.umask(0o777 & ~mode);
    server.listen({ path, ...(maxClients === undefined ? {} : { backlog: maxClients }) }, resolve);
    process.umask(before);
  });
  await chmod(path, mode);
  return {
    async close() {
      for (const client of clients) client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** @throws AgentError AGENT_ALREADY_RUNNING */
async function removeStale(path: string): Promise<void> {
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (alive) {
    throw new AgentError(
      'AGENT_ALREADY_RUNNING',
      `An agent is already running on this machine (${path} answers); stop it first or use another --state-dir.`,
    );
  }
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}
