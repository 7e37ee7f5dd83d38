import { once } from 'node:events';
import { connect as connectTcp, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { CONNECT_TIMEOUT_MS, IDLE_CONNECTION_MS, STALLED_TRANSFER_MS } from '../constants.ts';
import { messageOf, TransferError } from '../errors.ts';
import { FrameError, FrameReader, SIDE_CHANNEL_ALPN, textFrame } from './frames.ts';
import type { NarTicket } from './nar-server.ts';

/** Where and with which key a peer's side channel is reached. */
export interface NarEndpoint extends NarTicket {
  /** IP addresses of the peer, most likely first. */
  readonly hosts: readonly string[];
}

/** A peer as errors speak of it. */
export interface PeerLabel {
  readonly peerId: string;
  readonly name: string;
}

/** Pause before the next of a peer's addresses is tried beside the ones not yet answering. */
const NEXT_ADDRESS_MS = 400;

/** One connection of the side channel, asking end: NARs one after another. */
export class NarConnection {
  readonly #socket: TLSSocket;
  readonly #peer: PeerLabel;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #frames = new FrameReader(['data', 'end', 'error']);
  #busy = false;
  #waiting = false;

  private constructor(socket: TLSSocket, peer: PeerLabel) {
    this.#socket = socket;
    this.#peer = peer;
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    socket.setTimeout(Math.min(IDLE_CONNECTION_MS, STALLED_TRANSFER_MS), () => {
      // A slow consumer of ours is not the peer's fault: only silence that we wait for counts.
      if (!this.#busy) socket.destroy();
      else if (this.#waiting) socket.destroy(new Error('it sent nothing for too long'));
    });
  }

  /** @throws TransferError TRANSFER_PEER_LOST where no address answers or the key is refused */
  static async connect(endpoint: NarEndpoint, peer: PeerLabel, signal?: AbortSignal): Promise<NarConnection> {
    const deadline = AbortSignal.any([
      AbortSignal.timeout(CONNECT_TIMEOUT_MS),
      ...(signal === undefined ? [] : [signal]),
    ]);
    let tcp: Socket | undefined;
    let socket: TLSSocket | undefined;
    try {
      tcp = dial(endpoint);
      // Errors after the ones awaited here arrive as 'close'.
      tcp.on('error', () => undefined);
      await once(tcp, 'connect', { signal: deadline });
      socket = connectTls({
        socket: tcp,
        minVersion: 'TLSv1.3',
        ciphers: 'TLS_AES_128_GCM_SHA256',
        ALPNProtocols: [SIDE_CHANNEL_ALPN],
        pskCallback: () => ({ identity: endpoint.ticket, psk: endpoint.key }),
        // The key is the identity: there is no certificate whose name could be checked.
        checkServerIdentity: () => undefined,
      });
      socket.on('error', () => undefined);
      await once(socket, 'secureConnect', { signal: deadline });
      socket.setNoDelay(true);
      return new NarConnection(socket, peer);
    } catch (error) {
      socket?.destroy();
      tcp?.destroy();
      signal?.throwIfAborted();
      throw new TransferError(
        'TRANSFER_PEER_LOST',
        `${peer.name} could not be reached for a transfer (${messageOf(error)}).`,
        { peerId: peer.peerId, cause: error },
      );
    }
  }

  /** Whether no further NAR can be had here. */
  get closed(): boolean {
    return this.#socket.destroyed || this.#socket.readableEnded;
  }

  /**
   * A path's NAR as the peer sends it, not yet verified. Left before its end, the connection closes: that is how the peer learns
   * to stop. One at a time.
   * @throws TransferError TRANSFER_PEER_LOST, TRANSFER_PEER_REFUSED (the peer has no such path), TRANSFER_SIDE_CHANNEL (garbled)
   */
  async *nar(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#busy) throw new Error('A connection carries one NAR at a time.');
    this.#busy = true;
    const abort = () => this.#socket.destroy();
    signal?.addEventListener('abort', abort, { once: true });
    let complete = false;
    try {
      signal?.throwIfAborted();
      this.#socket.write(textFrame('nar', path));
      while (!complete) {
        for (const frame of this.#frames.push(await this.#nextChunk(path))) {
          if (frame.kind === 'data') yield frame.bytes;
          else {
            complete = true;
            if (frame.kind === 'error') throw this.#refusal(path, frame.bytes);
          }
        }
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof FrameError)) throw error;
      throw new TransferError(
        'TRANSFER_SIDE_CHANNEL',
        `${this.#peer.name} sent something that is no side-channel frame (${error.message}).`,
        { peerId: this.#peer.peerId, path, cause: error },
      );
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#busy = false;
      if (!complete || !this.#frames.atBoundary) this.#socket.destroy();
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  async #nextChunk(path: string): Promise<Uint8Array> {
    this.#waiting = true;
    try {
      const next = await this.#chunks.next();
      if (next.done !== true) return next.value;
      throw new Error('it closed the connection');
    } catch (error) {
      throw new TransferError(
        'TRANSFER_PEER_LOST',
        `${this.#peer.name} was lost while it sent ${path} (${messageOf(error)}).`,
        { peerId: this.#peer.peerId, path, cause: error },
      );
    } finally {
      this.#waiting = false;
    }
  }

  #refusal(path: string, body: Uint8Array): TransferError {
    const [code = '', message = ''] = Buffer.from(body).toString().split('\0', 2);
    return new TransferError(
      'TRANSFER_PEER_REFUSED',
      `${this.#peer.name} did not send ${path}: ${message === '' ? code : message}`,
      { peerId: this.#peer.peerId, path },
    );
  }
}

/** Opens a TCP connection to the first address that answers, trying the next one when one is slow. */
function dial({ hosts, port }: NarEndpoint): Socket {
  if (hosts.length === 0) throw new Error('it has no address');
  const addresses = hosts.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  const lookup: LookupFunction = (_name, _options, callback) => callback(null, addresses);
  return connectTcp({
    host: 'peer',
    port,
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
  });
}
