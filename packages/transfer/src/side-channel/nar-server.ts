import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import {
  HANDSHAKE_TIMEOUT_MS,
  IDLE_CONNECTION_MS,
  MAX_CHUNK_BYTES,
  MAX_INBOUND_CONNECTIONS,
  MAX_OPEN_TICKETS,
  TICKET_LIFETIME_MS,
} from '../constants.ts';
import { messageOf, TransferError } from '../errors.ts';
import { FrameError, FrameReader, frameHeader, SIDE_CHANNEL_ALPN, textFrame } from './frames.ts';

/** Where NARs come from at the serving end. */
export interface NarSource {
  /**
   * The NAR of a valid store path, read no faster than it is taken.
   * Throws where the path is not valid; stops reading when the signal aborts.
   */
  openNar(path: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A key to one connection: made for one peer, told to it over an authenticated stream. */
export interface NarTicket {
  /** TCP port of the serving end. */
  readonly port: number;
  /** PSK identity: 32 hexadecimal digits. */
  readonly ticket: string;
  /** Pre-shared key: 32 bytes. */
  readonly key: Uint8Array;
}

export interface NarServerInit {
  /** Address to listen on; all of the machine's when absent. */
  readonly host?: string;
  /** 0 (the default) lets the system choose. */
  readonly port?: number;
}

export interface NarServerComponents {
  readonly source: NarSource;
  /** Milliseconds, from any origin. */
  readonly now: () => number;
}

/** What a server has done since it started. */
export interface NarServerCounters {
  nars: number;
  sentBytes: number;
  /** Handshakes with a wrong key, a used or an expired ticket, or no TLS at all. */
  refused: number;
  /** Connections closed because what arrived on them was no request. */
  garbled: number;
}

interface OpenTicket {
  readonly key: Uint8Array;
  readonly peerId: string;
  readonly expiresAt: number;
}

/**
 * The serving end of the side channel: TLS 1.3 with a one-time pre-shared key and no certificates. Who holds the key was
 * told it over an authenticated stream, so the handshake authenticates both ends. Listens from the first ticket on.
 */
export class NarServer {
  readonly counters: NarServerCounters = { nars: 0, sentBytes: 0, refused: 0, garbled: 0 };
  readonly #init: NarServerInit;
  readonly #components: NarServerComponents;
  readonly #tickets = new Map<string, OpenTicket>();
  readonly #connections = new Map<TLSSocket, string>();
  readonly #peerOfHandshake = new WeakMap<object, string>();
  #server: Promise<Server> | undefined;

  constructor(init: NarServerInit, components: NarServerComponents) {
    this.#init = init;
    this.#components = components;
  }

  /** Connections open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** A new ticket for one connection of this peer, good once and for TICKET_LIFETIME_MS. */
  async issueTicket(peerId: string): Promise<NarTicket> {
    const { port } = (await this.#listening()).address() as AddressInfo;
    this.#forgetOldTickets();
    const ticket = randomBytes(16).toString('hex');
    const key = randomBytes(32);
    this.#tickets.set(ticket, { key, peerId, expiresAt: this.#components.now() + TICKET_LIFETIME_MS });
    return { port, ticket, key };
  }

  /** Closes what a peer has open and voids its tickets: it left, or is no longer a member. */
  dropPeer(peerId: string): void {
    for (const [ticket, open] of this.#tickets) if (open.peerId === peerId) this.#tickets.delete(ticket);
    for (const [socket, holder] of this.#connections) if (holder === peerId) socket.destroy();
  }

  async close(): Promise<void> {
    const starting = this.#server;
    this.#server = undefined;
    this.#tickets.clear();
    if (starting === undefined) return;
    const server = await starting;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#connections.keys()) socket.destroy();
    await closed;
  }

  async #listening(): Promise<Server> {
    this.#server ??= this.#listen();
    try {
      return await this.#server;
    } catch (error) {
      // The next ticket tries again: what is in the way may be gone by then.
      this.#server = undefined;
      throw new TransferError(
        'TRANSFER_SIDE_CHANNEL',
        `Members cannot fetch from this machine: its transfer port cannot be listened on (${messageOf(error)}).`,
        { cause: error },
      );
    }
  }

  async #listen(): Promise<Server> {
    const server = createServer({
      minVersion: 'TLSv1.3',
      // A pre-shared key given by callback goes with SHA-256 suites only.
      ciphers: 'TLS_AES_128_GCM_SHA256',
      ALPNProtocols: [SIDE_CHANNEL_ALPN],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      pskCallback: (socket, identity) => this.#redeem(socket, identity),
    });
    server.maxConnections = MAX_INBOUND_CONNECTIONS;
    server.on('tlsClientError', () => {
      this.counters.refused += 1;
    });
    server.on('secureConnection', (socket) => {
      const peerId = this.#peerOfHandshake.get(socket);
      if (peerId === undefined) socket.destroy();
      else void this.#serve(socket, peerId);
    });
    server.listen({
      port: this.#init.port ?? 0,
      ...(this.#init.host === undefined ? {} : { host: this.#init.host }),
    });
    await once(server, 'listening');
    return server;
  }

  #redeem(socket: object, identity: string): Uint8Array | null {
    const open = this.#tickets.get(identity);
    this.#tickets.delete(identity);
    if (open === undefined || open.expiresAt < this.#components.now()) return null;
    this.#peerOfHandshake.set(socket, open.peerId);
    return open.key;
  }

  #forgetOldTickets(): void {
    const now = this.#components.now();
    for (const [ticket, open] of this.#tickets) {
      if (open.expiresAt >= now && this.#tickets.size < MAX_OPEN_TICKETS) return;
      this.#tickets.delete(ticket);
    }
  }

  async #serve(socket: TLSSocket, peerId: string): Promise<void> {
    const gone = new AbortController();
    let sending = false;
    this.#connections.set(socket, peerId);
    socket.setNoDelay(true);
    // Twice the asking end's, so that it is the asking end that closes and knows.
    socket.setTimeout(2 * IDLE_CONNECTION_MS, () => {
      if (!sending) socket.destroy();
    });
    // Whatever breaks a connection, its 'close' follows, and that is where it is dealt with.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#connections.delete(socket);
      gone.abort();
    });
    const requests = new FrameReader(['nar']);
    try {
      for await (const chunk of socket) {
        for (const request of requests.push(chunk as Uint8Array)) {
          sending = true;
          await this.#sendNar(socket, Buffer.from(request.bytes).toString('latin1'), gone.signal);
          sending = false;
        }
      }
    } catch (error) {
      // A garbled request, or the peer went away in the middle: either way only this connection ends.
      if (error instanceof FrameError) this.counters.garbled += 1;
    } finally {
      socket.destroy();
    }
  }

  async #sendNar(socket: TLSSocket, path: string, gone: AbortSignal): Promise<void> {
    try {
      for await (const chunk of this.#components.source.openNar(path, gone)) {
        for (let offset = 0; offset < chunk.length; offset += MAX_CHUNK_BYTES) {
          const piece = chunk.subarray(offset, offset + MAX_CHUNK_BYTES);
          await send(socket, gone, frameHeader('data', piece.length), piece);
          this.counters.sentBytes += piece.length;
        }
      }
      await send(socket, gone, frameHeader('end', 0));
      this.counters.nars += 1;
    } catch (error) {
      if (gone.aborted) throw error;
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'TRANSFER_SIDE_CHANNEL';
      await send(socket, gone, textFrame('error', `${code}\0${messageOf(error)}`));
    }
  }
}

/** Writes the parts as one, and waits until the connection has room for more. */
async function send(socket: TLSSocket, gone: AbortSignal, ...parts: Uint8Array[]): Promise<void> {
  if (socket.destroyed) {
    throw new TransferError('TRANSFER_PEER_LOST', 'The asking peer closed its side channel.');
  }
  socket.cork();
  for (const part of parts) socket.write(part);
  socket.uncork();
  if (socket.writableNeedDrain) await once(socket, 'drain', { signal: gone });
}
