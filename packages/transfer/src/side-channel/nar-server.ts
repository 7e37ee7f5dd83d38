import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import {
  HANDSHAKE_TIMEOUT_MS,
  MAX_INBOUND_CONNECTIONS,
  MAX_OPEN_TICKETS,
  TICKET_LIFETIME_MS,
} from '../constants.ts';
import { messageOf, TransferError } from '../errors.ts';
import { LinkRate } from './compression.ts';
import { SIDE_CHANNEL_ALPN } from './frames.ts';
import { MAX_CONNECTIONS_OF_ONE_PEER, MAX_LINK_RATES } from './limits.ts';
import { NarSession, type SessionCounters } from './nar-session.ts';
import type { Compressor } from './range-sender.ts';
import type { HoldingBoard, NarShelf } from './ranges.ts';
import { UploadTurns } from './upload-turns.ts';

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
  readonly shelf: NarShelf;
  /** Who fetches what of this machine; without it, watchers hear nothing. */
  readonly board?: HoldingBoard;
  /** Without it, nothing is sent compressed. */
  readonly compressor?: Compressor;
  /** Milliseconds, from any origin. */
  readonly now: () => number;
}

/** What a server has done since it started. */
export interface NarServerCounters extends SessionCounters {
  /** Handshakes with a wrong key, a used or an expired ticket, or no TLS at all. */
  refused: number;
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
  readonly counters: NarServerCounters = {
    nars: 0,
    ranges: 0,
    rawBytes: 0,
    sentBytes: 0,
    refused: 0,
    garbled: 0,
  };
  readonly #init: NarServerInit;
  readonly #components: NarServerComponents;
  readonly #tickets = new Map<string, OpenTicket>();
  readonly #connections = new Map<TLSSocket, string>();
  readonly #peerOfHandshake = new WeakMap<object, string>();
  readonly #turns: UploadTurns;
  /** Least recently connected first. */
  readonly #links = new Map<string, LinkRate>();
  #server: Promise<Server> | undefined;

  constructor(init: NarServerInit, components: NarServerComponents) {
    this.#init = init;
    this.#components = components;
    this.#turns = new UploadTurns({
      now: components.now,
      after: (ms, run) => {
        const timer = setTimeout(run, ms);
        return () => clearTimeout(timer);
      },
    });
  }

  /** Bytes a second that all connections together may send; undefined for no limit. Peers share it alike. */
  setUploadLimit(bytesPerS: number | undefined): void {
    this.#turns.setLimit(bytesPerS);
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
      else this.#serve(socket, peerId);
    });
    const { host, port = 0 } = this.#init;
    const at = host === undefined ? {} : { host };
    try {
      server.listen({ port, ...at });
      await once(server, 'listening');
    } catch (error) {
      if (port === 0 || !isInUse(error)) throw error;
      // Another agent of this machine has it. Askers are told the port, so any will do where no firewall minds.
      server.listen({ port: 0, ...at });
      await once(server, 'listening');
    }
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

  /** What is known of the network to a peer, from all its connections. */
  #linkTo(peerId: string): LinkRate {
    const link = this.#links.get(peerId) ?? new LinkRate();
    this.#links.delete(peerId);
    this.#links.set(peerId, link);
    const [oldest] = this.#links.keys();
    if (this.#links.size > MAX_LINK_RATES && oldest !== undefined) this.#links.delete(oldest);
    return link;
  }

  #serve(socket: TLSSocket, peerId: string): void {
    const others = [...this.#connections.values()].filter((holder) => holder === peerId);
    if (others.length >= MAX_CONNECTIONS_OF_ONE_PEER) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, peerId);
    socket.once('close', () => this.#connections.delete(socket));
    const { shelf, board, compressor, now } = this.#components;
    new NarSession(socket, peerId, {
      shelf,
      counters: this.counters,
      turns: this.#turns,
      link: this.#linkTo(peerId),
      now,
      ...(compressor === undefined ? {} : { compressor }),
      ...(board === undefined ? {} : { board }),
    });
  }
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
