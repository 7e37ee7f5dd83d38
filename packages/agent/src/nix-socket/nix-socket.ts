import { mkdir } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Logger } from '@mesh/net';
import { type ClientHandlers, databaseStamp, PathInfoCache, STORE_DIR, serveDaemonClient } from '@mesh/nix';
import { type ListeningSocket, listenOnSocket } from '../listen-on-socket.ts';
import { CallerConnections, mayActForOthers } from './caller-connections.ts';
import { MAX_CLIENTS, NIX_SOCKET } from './constants.ts';
import { credentialsReader, type ReadCredentials } from './peer-credentials.ts';
import { sendBufferWidener } from './send-buffer.ts';
import { userName } from './user-name.ts';

export interface NixSocketInit {
  /** The agent's socket directory. */
  readonly dir: string;
  /** The real nix-daemon's. */
  readonly daemonSocket: string;
}

export interface NixSocketComponents {
  /** What the mesh does for a client; `submitter` is the name of its user. */
  handlersFor(submitter: string): ClientHandlers;
  readonly logger: Logger;
}

/**
 * The socket for `NIX_REMOTE=unix:///run/mesh/nix.sock`: every operation passes to the real daemon with the caller's own rights, builds go
 * to the mesh. An agent that cannot act for others serves its own user alone.
 */
export class NixSocket {
  readonly #init: NixSocketInit;
  readonly #components: NixSocketComponents;
  readonly #connections: CallerConnections;
  readonly #pathInfos: PathInfoCache;
  #socket: ListeningSocket | undefined;

  constructor(init: NixSocketInit, components: NixSocketComponents) {
    this.#init = init;
    this.#components = components;
    this.#connections = new CallerConnections(init.daemonSocket);
    this.#pathInfos = new PathInfoCache({
      stamp: databaseStamp(init.daemonSocket),
      now: () => Date.now(),
    });
  }

  /** @throws AgentError AGENT_ALREADY_RUNNING; what listening throws */
  async start(): Promise<void> {
    const path = join(this.#init.dir, NIX_SOCKET);
    await mkdir(this.#init.dir, { recursive: true, mode: 0o755 });
    const readCredentials = await this.#reader(path);
    const widen = await this.#widener();
    const mode = readCredentials === undefined ? 0o600 : 0o666;
    this.#socket = await listenOnSocket(
      path,
      { mode, maxClients: MAX_CLIENTS },
      (client) => void this.#serve(client, readCredentials, widen),
    );
  }

  async stop(): Promise<void> {
    const closed = this.#socket?.close();
    this.#connections.stop();
    await closed;
  }

  /** Undefined where callers cannot be told apart or not be acted for: the file's permissions admit the agent's user alone then. */
  async #reader(path: string): Promise<ReadCredentials | undefined> {
    const { logger } = this.#components;
    if (!mayActForOthers()) {
      logger.info({ path }, "only the agent's own user may use nix.sock: the agent may not act for others");
      return undefined;
    }
    try {
      return await credentialsReader();
    } catch (error) {
      logger.warn(
        { path, err: error },
        "only the agent's own user may use nix.sock: callers cannot be told apart",
      );
      return undefined;
    }
  }

  async #widener(): Promise<(socket: Socket) => void> {
    try {
      return await sendBufferWidener();
    } catch (error) {
      this.#components.logger.debug(
        { err: error },
        'connections of nix.sock are as wide as the kernel makes them',
      );
      return () => undefined;
    }
  }

  async #serve(
    client: Socket,
    readCredentials: ReadCredentials | undefined,
    widen: (socket: Socket) => void,
  ): Promise<void> {
    const { logger, handlersFor } = this.#components;
    try {
      const caller = readCredentials?.(client);
      // A look whether somebody serves is no reason to start a daemon.
      if (!(await saysSomething(client))) return void client.destroy();
      widen(client);
      await serveDaemonClient({
        client,
        openDaemon: () =>
          caller === undefined ? this.#connections.connectAsAgent() : this.#connections.connect(caller),
        storeDirectory: STORE_DIR,
        pathInfos: this.#pathInfos,
        handlers: handlersFor(userName(caller?.uid ?? process.geteuid?.() ?? 0)),
        onPassedThrough: (reason) =>
          logger.warn({ reason }, 'a client of nix.sock is not understood: it builds without the mesh'),
      });
    } catch (error) {
      logger.warn({ err: error }, 'a connection of nix.sock broke off');
      client.destroy();
    }
  }
}

/** Whether a first byte comes, which stays in the socket. */
function saysSomething(client: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (): void => {
      client.off('readable', done).off('close', done).off('end', done);
      resolve(client.readableLength > 0);
    };
    client.on('readable', done).on('close', done).on('end', done);
  });
}
