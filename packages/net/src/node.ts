import { noise } from '@chainsafe/libp2p-noise';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { ConnectionGater, Libp2p } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import {
  ADDRESS_DIAL_TIMEOUT_MS,
  DIAL_TIMEOUT_MS,
  INBOUND_CONNECTIONS_PER_SECOND,
  MAX_CONNECTIONS,
  MAX_PENDING_INBOUND_CONNECTIONS,
  MAX_STREAM_READ_BUFFER_BYTES,
  MAX_STREAM_WINDOW_BYTES,
} from './constants.ts';
import type { Identity } from './identity.ts';

/** What a libp2p node is made of. */
export interface NodeInit {
  identity: Identity;
  /** Multiaddrs to listen on. */
  listen: string[];
  connectionGater: ConnectionGater;
}

/** A libp2p node, not started: TCP, Noise, yamux, and nothing that dials, pings or announces by itself. */
export async function createNode(init: NodeInit): Promise<Libp2p> {
  const { identity, listen, connectionGater } = init;
  return createLibp2p({
    start: false,
    privateKey: privateKeyFromRaw(Buffer.concat([identity.seed, identity.publicKey])),
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        streamOptions: {
          maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES,
          maxReadBufferLength: MAX_STREAM_READ_BUFFER_BYTES,
        },
      }),
    ],
    connectionGater,
    // Gossip's pings watch connections; a second watcher with other time-outs would only disagree.
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_SECOND,
      maxIncomingPendingConnections: MAX_PENDING_INBOUND_CONNECTIONS,
      dialTimeout: DIAL_TIMEOUT_MS,
      addressDialTimeout: ADDRESS_DIAL_TIMEOUT_MS,
      reconnectRetries: 0,
    },
  });
}
