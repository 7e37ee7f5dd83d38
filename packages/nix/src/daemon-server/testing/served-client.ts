import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wire } from '../../daemon/testing/wire-bytes.ts';
import type { ClientHandlers } from '../handlers.ts';
import { serveDaemonClient } from '../serve-daemon-client.ts';

export const LAST = 0x616c7473;
export const ERROR = 0x63787470;
export const NEXT = 0x6f6c6d67;

/** One end of a connection, with everything that came over it. */
export class Peer {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  ended = false;
  #changed = Promise.withResolvers<void>();

  constructor(socket: Socket) {
    this.socket = socket;
    const change = (): void => {
      const changed = this.#changed;
      this.#changed = Promise.withResolvers();
      changed.resolve();
    };
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      change();
    });
    const end = (): void => {
      this.ended = true;
      change();
    };
    socket.on('end', end).on('close', end);
    // A test that closes one end makes the other fail.
    socket.on('error', () => undefined);
  }

  say(...values: readonly (number | bigint | string)[]): void {
    this.socket.write(wire(...values));
  }

  /** Takes exactly these bytes; fails where the connection ends before. */
  async take(bytes: number): Promise<Buffer> {
    while (this.received.length < bytes) {
      if (this.ended) throw new Error(`ended after ${this.received.length} of ${bytes} bytes`);
      await this.#changed.promise;
    }
    const taken = this.received.subarray(0, bytes);
    this.received = this.received.subarray(bytes);
    return taken;
  }

  async ends(): Promise<void> {
    while (!this.ended) await this.#changed.promise;
  }
}

/** A client and a daemon, which a test speaks for, with what is tested between them. */
export interface Served extends AsyncDisposable {
  readonly client: Peer;
  readonly daemon: Peer;
  /** Why everything passes unread, where it does. */
  readonly passedThrough: readonly string[];
  /** Settles when serving has ended. */
  readonly served: Promise<void>;
}

export async function serve(handlers: ClientHandlers, storeDirectory?: string): Promise<Served> {
  const directory = await mkdtemp(join(tmpdir(), 'served-client-'));
  const [clients, daemons] = [createServer(), createServer()];
  const paths = { clients: join(directory, 'clients'), daemons: join(directory, 'daemons') };
  await Promise.all([listen(clients, paths.clients), listen(daemons, paths.daemons)]);
  const accepted = [once(clients, 'connection'), once(daemons, 'connection')] as Promise<[Socket]>[];
  const client = new Peer(connect(paths.clients));
  const passedThrough: string[] = [];
  const [inner] = await accepted[0]!;
  const served = serveDaemonClient({
    client: inner,
    openDaemon: async () => {
      const socket = connect(paths.daemons);
      await once(socket, 'connect');
      return socket;
    },
    handlers,
    ...(storeDirectory === undefined ? {} : { storeDirectory }),
    onPassedThrough: (reason) => passedThrough.push(reason),
  });
  const [daemonSocket] = await accepted[1]!;
  const daemon = new Peer(daemonSocket);
  return {
    client,
    daemon,
    passedThrough,
    served,
    async [Symbol.asyncDispose]() {
      client.socket.destroy();
      daemon.socket.destroy();
      await served.catch(() => undefined);
      clients.close();
      daemons.close();
      await rm(directory, { recursive: true });
    },
  };
}

/** Both halves of a handshake, up to the first operation. */
export async function shakeHands(
  { client, daemon }: Pick<Served, 'client' | 'daemon'>,
  options: { minor?: number; features?: readonly string[]; trust?: number } = {},
): Promise<void> {
  const { minor = 38, features = [], trust = 1 } = options;
  client.say(0x6e697863);
  await daemon.take(8);
  daemon.say(0x6478696f, 0x100 + minor);
  await client.take(16);
  client.say(0x100 + minor);
  await daemon.take(8);
  if (minor >= 38) {
    client.say(features.length, ...features);
    await daemon.take(wire(features.length, ...features).length);
    daemon.say(features.length, ...features);
    await client.take(wire(features.length, ...features).length);
  }
  client.say(0, 0);
  await daemon.take(16);
  const rest = wire('2.99.0', ...(minor >= 35 ? [trust] : []), LAST);
  daemon.socket.write(rest);
  await client.take(rest.length);
}

function listen(server: Server, path: string): Promise<unknown> {
  server.listen(path);
  return once(server, 'listening');
}
