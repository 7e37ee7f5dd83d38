import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Logger } from '@mesh/net';
import { type ClientHandlers, DEFAULT_SOCKET_PATH, serveDaemonClient } from '@mesh/nix';
import * as v from 'valibot';
import { type ListeningSocket, listenOnSocket } from '../listen-on-socket.ts';
import { GREETING_TIMEOUT_MS, MAX_BUILDER_CONNECTIONS, MAX_GREETING_BYTES } from './constants.ts';
import {
  BUILDER_VERSION,
  type BuilderWelcome,
  greetingSchema,
  type OfferedMachine,
  whyNobody,
} from './greeting.ts';

/** Beside the sockets of the local API. */
export const BUILDER_SOCKET = 'builder.sock';

export interface BuilderServerInit {
  /** The agent's socket directory. */
  readonly dir: string;
  readonly daemonSocket?: string | undefined;
}

export interface BuilderServerComponents {
  readonly handlers: ClientHandlers;
  /** Other members that are connected. */
  readonly others: () => readonly OfferedMachine[];
  readonly logger: Logger;
}

/**
 * Where `mesh-builder` connects: this machine's Nix, which takes the mesh for one of its builders. Only the agent's own user may: who
 * speaks here has the rights of that user at the nix-daemon.
 */
export class BuilderServer {
  readonly #init: BuilderServerInit;
  readonly #components: BuilderServerComponents;
  #socket: ListeningSocket | undefined;

  constructor(init: BuilderServerInit, components: BuilderServerComponents) {
    this.#init = init;
    this.#components = components;
  }

  /** @throws AgentError AGENT_ALREADY_RUNNING; what listening throws */
  async start(): Promise<void> {
    const path = join(this.#init.dir, BUILDER_SOCKET);
    this.#socket = await listenOnSocket(
      path,
      { mode: 0o600, maxClients: MAX_BUILDER_CONNECTIONS },
      (client) => void this.#serve(client),
    );
  }

  async stop(): Promise<void> {
    await this.#socket?.close();
  }

  async #serve(socket: Socket): Promise<void> {
    const { handlers, logger } = this.#components;
    try {
      const line = await firstLine(socket);
      if (line === undefined) return void socket.destroy();
      const welcome = this.#welcome(line);
      socket.write(`${JSON.stringify(welcome)}\n`);
      if ('refused' in welcome) return void socket.end();
      const daemonSocket = this.#init.daemonSocket ?? DEFAULT_SOCKET_PATH;
      await serveDaemonClient({
        client: socket,
        openDaemon: () => connected(daemonSocket),
        handlers,
        // Left to itself, the real daemon would wait for locks that this very client holds: what is not understood is refused.
        refusal: () => undefined,
      });
    } catch (error) {
      logger.warn({ err: error }, 'a connection of mesh-builder broke off');
      socket.destroy();
    }
  }

  #welcome(line: string): BuilderWelcome {
    const greeting = v.safeParse(greetingSchema, parseJson(line));
    if (!greeting.success)
      return { refused: 'mesh-builder and the agent do not understand each other; restart the agent.' };
    if (greeting.output.version !== BUILDER_VERSION)
      return { refused: 'mesh-builder is of another version than the running agent; restart the agent.' };
    const reason = whyNobody(greeting.output, this.#components.others());
    return reason === undefined ? { ok: true } : { refused: `${reason}; Nix goes on without the mesh` };
  }
}

/** The first line, without its end; what follows it stays in the socket. Undefined where none comes. */
async function firstLine(socket: Socket): Promise<string | undefined> {
  let text = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), GREETING_TIMEOUT_MS);
  try {
    for (;;) {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) {
        if (socket.readableEnded || socket.destroyed) return undefined;
        await new Promise<void>((resolve) => {
          const done = (): void => {
            socket.off('readable', done).off('close', done).off('end', done);
            resolve();
          };
          socket.on('readable', done).on('close', done).on('end', done);
        });
        continue;
      }
      text = Buffer.concat([text, chunk]);
      const end = text.indexOf('\n');
      if (end !== -1) {
        if (end + 1 < text.length) socket.unshift(text.subarray(end + 1));
        return text.toString('utf8', 0, end);
      }
      if (text.length > MAX_GREETING_BYTES) return undefined;
    }
  } finally {
    clearTimeout(timer);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // What is no JSON is refused by the schema.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A connection to the real nix-daemon. */
export async function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}
