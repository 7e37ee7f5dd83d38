import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { ASKED, FrameReader, frame, SIDE_CHANNEL_ALPN } from '../side-channel/frames.ts';
import {
  type BatchRequest,
  idFrame,
  type RangeRequest,
  readBatch,
  readRange,
} from '../side-channel/messages.ts';
import type { NarTicket } from '../side-channel/nar-server.ts';

/** What a member does that was asked for part of a NAR. */
export const NAR_FAULTS = {
  /** One byte a second. */
  trickle: async (socket: TLSSocket, { bytes }: RangeRequest) => {
    for (let sent = 0; sent < bytes && !socket.destroyed; sent += 1) {
      socket.write(frame('data', Buffer.of(0)));
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  },
  /** Nothing at all. */
  silence: async () => undefined,
  /** The right number of bytes, of something else. */
  'other-bytes': async (socket: TLSSocket, { id, bytes }: RangeRequest) => {
    for (let left = bytes; left > 0; left -= 65_536) {
      socket.write(frame('data', Buffer.alloc(Math.min(left, 65_536), 7)));
    }
    socket.write(idFrame('end', id));
  },
  /** Half of it, and then no connection. */
  'half-and-gone': async (socket: TLSSocket, { bytes }: RangeRequest) => {
    socket.end(frame('data', Buffer.alloc(Math.min(Math.floor(bytes / 2), 65_536), 7)));
  },
  /** Half of it, and the word that this was all. */
  'half-and-end': async (socket: TLSSocket, { id, bytes }: RangeRequest) => {
    socket.write(frame('data', Buffer.alloc(Math.min(Math.floor(bytes / 2), 65_536), 7)));
    socket.write(idFrame('end', id));
  },
  /** Bytes for ever. */
  endless: async (socket: TLSSocket) => {
    while (!socket.destroyed) {
      if (!socket.write(frame('data', Buffer.alloc(65_536, 7)))) await drained(socket);
    }
  },
  /** No frames. */
  garbage: async (socket: TLSSocket) => {
    socket.write(randomBytes(4_096));
  },
  /** A compressed block of a few bytes that unpacks to a gibibyte. */
  bomb: async (socket: TLSSocket) => {
    const { zstdCompressSync } = await import('node:zlib');
    const raw = Buffer.alloc(4);
    raw.writeUInt32BE(65_536);
    socket.write(frame('packed', Buffer.concat([raw, zstdCompressSync(Buffer.alloc(2 ** 30))])));
  },
} satisfies Record<string, (socket: TLSSocket, range: RangeRequest) => Promise<void>>;

export type NarFault = keyof typeof NAR_FAULTS;

/** A side channel that answers every range in the same wrong way; tickets and handshake are as they should be. */
export class HostileNars {
  readonly #fault: NarFault;
  readonly #keys = new Map<string, Uint8Array>();
  #server: Promise<Server> | undefined;

  constructor(fault: NarFault) {
    this.#fault = fault;
  }

  async issueTicket(): Promise<NarTicket> {
    this.#server ??= this.#listen();
    const { port } = (await this.#server).address() as AddressInfo;
    const ticket = randomBytes(16).toString('hex');
    const key = randomBytes(32);
    this.#keys.set(ticket, key);
    return { port, ticket, key };
  }

  prepare(): void {
    // Nothing takes time to start.
  }

  async #listen(): Promise<Server> {
    const server = createServer({
      minVersion: 'TLSv1.3',
      ciphers: 'TLS_AES_128_GCM_SHA256',
      ALPNProtocols: [SIDE_CHANNEL_ALPN],
      pskCallback: (_, identity) => this.#keys.get(identity) ?? null,
    });
    server.on('secureConnection', (socket) => this.#serve(socket));
    server.listen(0);
    await once(server, 'listening');
    return server;
  }

  #serve(socket: TLSSocket): void {
    // Whoever is answered like this hangs up.
    socket.on('error', () => socket.destroy());
    let turn = Promise.resolve();
    const requests = new FrameReader(ASKED, {
      data: () => undefined,
      frame: (kind, body) => {
        if (kind !== 'range' && kind !== 'batch') return;
        const range = kind === 'range' ? readRange(body) : firstOf(readBatch(body));
        turn = turn.then(() => NAR_FAULTS[this.#fault](socket, range));
      },
    });
    socket.on('data', (chunk) => requests.push(chunk));
  }
}

/** A batch, as if all of it were of its first path. */
function firstOf({ id, zstd, bytes, paths }: BatchRequest): RangeRequest {
  return { id, zstd, bytes, offset: 0, path: paths[0]! };
}

async function drained(socket: TLSSocket): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.once('drain', resolve).once('close', resolve);
  });
}
