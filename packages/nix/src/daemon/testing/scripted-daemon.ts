import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wire } from './wire-bytes.ts';

export const LAST = 0x616c7473;
export const ERROR = 0x63787470;
export const NEXT = 0x6f6c6d67;
export const START = 0x53545254;
export const STOP = 0x53544f50;
export const RESULT = 0x52534c54;

/** A socket that says what a test lets it say, for answers no real daemon gives. */
export interface ScriptedDaemon extends AsyncDisposable {
  readonly socketPath: string;
  /** Everything received, by connection. */
  readonly received: readonly Buffer[];
  /** The connections, in the order they came. */
  readonly sockets: readonly Socket[];
  /** Resolves when connection `index` has sent this many bytes. */
  receives(bytes: number, index?: number): Promise<Buffer>;
}

/**
 * `speech` is said to every connection at once; the connection then stays open.
 * @param backlog connections that may wait to be taken
 */
export async function scriptedDaemon(speech: Uint8Array, backlog = 511): Promise<ScriptedDaemon> {
  const directory = await mkdtemp(join(tmpdir(), 'scripted-daemon-'));
  const socketPath = join(directory, 'socket');
  const received: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const index = sockets.push(socket) - 1;
    received.push(Buffer.alloc(0));
    socket.on('data', (chunk: Buffer) => {
      received[index] = Buffer.concat([received[index]!, chunk]);
    });
    // The client may close while much is still to be said.
    socket.on('error', () => socket.destroy());
    socket.write(speech);
  });
  server.listen({ path: socketPath, backlog });
  await once(server, 'listening');
  return {
    socketPath,
    received,
    sockets,
    async receives(bytes, index = 0) {
      while ((received[index]?.length ?? 0) < bytes) {
        const socket = sockets[index];
        if (socket === undefined) await once(server, 'connection');
        else await once(socket, 'data');
      }
      return received[index]!;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await rm(directory, { recursive: true });
    },
  };
}

/** The daemon's half of the handshake, and its answer to the SetOptions that follows. */
export function greeting(
  minor: number,
  options: { trust?: number; features?: readonly string[] } = {},
): Buffer {
  const features = options.features ?? [];
  return Buffer.concat([
    wire(0x6478696f, 0x100 + minor),
    minor >= 38 ? wire(features.length, ...features) : wire(),
    wire('2.99.0'),
    minor >= 35 ? wire(options.trust ?? 0) : wire(),
    wire(LAST, LAST),
  ]);
}
