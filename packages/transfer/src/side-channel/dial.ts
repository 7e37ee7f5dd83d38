import { once } from 'node:events';
import type { LookupFunction, TcpNetConnectOpts } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { CONNECT_TIMEOUT_MS } from '../constants.ts';
import { messageOf, TransferError } from '../errors.ts';
import { SIDE_CHANNEL_ALPN } from './frames.ts';
import type { PeerLabel } from './nar-connection.ts';
import type { NarTicket } from './nar-server.ts';

/** Where and with which key a peer's side channel is reached. */
export interface NarEndpoint extends NarTicket {
  /** IP addresses of the peer, most likely first. */
  readonly hosts: readonly string[];
}

/** Pause before the next of a peer's addresses is tried beside the ones not yet answering. */
const NEXT_ADDRESS_MS = 400;

/** Room for some TLS records; each is told of as it is decrypted. */
const RECEIVE_BYTES = 64 * 1024;

/**
 * Opens a side-channel connection to the first address that answers, trying the next one when one is slow. What arrives is handed to
 * `take`, always in the same memory: a buffer for each record costs a third of the receiving end's processor time.
 * @throws TransferError TRANSFER_PEER_LOST where no address answers or the key is refused
 */
export async function dial(
  endpoint: NarEndpoint,
  peer: PeerLabel,
  take: (bytes: Uint8Array) => void,
  signal?: AbortSignal,
): Promise<TLSSocket> {
  const deadline = AbortSignal.any([
    AbortSignal.timeout(CONNECT_TIMEOUT_MS),
    ...(signal === undefined ? [] : [signal]),
  ]);
  const { hosts, port, ticket, key } = endpoint;
  const addresses = hosts.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  const lookup: LookupFunction = (_name, _options, callback) => callback(null, addresses);
  const options: ConnectionOptions & TcpNetConnectOpts = {
    host: 'peer',
    port,
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256',
    ALPNProtocols: [SIDE_CHANNEL_ALPN],
    pskCallback: () => ({ identity: ticket, psk: key }),
    // The key is the identity: there is no certificate whose name could be checked.
    checkServerIdentity: () => undefined,
    onread: {
      buffer: Buffer.allocUnsafeSlow(RECEIVE_BYTES),
      callback: (bytes, buffer) => {
        take(buffer.subarray(0, bytes));
        return true;
      },
    },
  };
  let socket: TLSSocket | undefined;
  try {
    if (hosts.length === 0) throw new Error('it has no address');
    socket = connect(options);
    // Errors after the ones awaited here arrive as 'close'.
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect', { signal: deadline });
    socket.setNoDelay(true);
    return socket;
  } catch (error) {
    socket?.destroy();
    signal?.throwIfAborted();
    throw new TransferError(
      'TRANSFER_PEER_LOST',
      `${peer.name} could not be reached for a transfer (${messageOf(error)}).`,
      { peerId: peer.peerId, cause: error },
    );
  }
}
