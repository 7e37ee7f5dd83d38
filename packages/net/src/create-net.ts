import { type Clock, systemClock } from './clock.ts';
import { loadOrCreateIdentity } from './identity.ts';
import type { InterfaceRules } from './interfaces.ts';
import { Libp2pMeshNet } from './libp2p-mesh-net.ts';
import type { Logger } from './logger.ts';
import { MembershipStore } from './membership-store.ts';
import type { MeshNet } from './mesh-net.ts';
import { RememberedPeers } from './remembered-peers.ts';

/** How an agent takes part in the network. */
export interface NetInit {
  /** Where identity, membership and addresses are kept. */
  stateDir: string;
  /** What this machine is called, unless its certificate says otherwise; a host name will do. */
  name: string;
  /** TCP port; 0 for any. */
  listenPort?: number;
  /** Multiaddrs to listen on instead of all addresses. */
  addresses?: string[];
  discovery: { mdns: boolean };
  /** Interfaces to meet peers on and to name to them; all but loopback and virtual ones by default. */
  interfaces?: InterfaceRules;
  /** Peers to connect to: names, IP addresses, with or without a port, or multiaddrs with or without a peer id. */
  peers: string[];
  agentVersion?: string;
}

/** What the network needs of its surroundings. */
export interface NetComponents {
  logger: Logger;
  clock?: Clock;
  /** 0 to 1. */
  random?: () => number;
}

/**
 * The network of one agent, not started yet.
 * @throws {NetError} `NET_IDENTITY_UNREADABLE`, `NET_STATE_UNREADABLE`, `NET_BAD_ADDRESS`
 */
export function createNet(init: NetInit): (components: NetComponents) => Promise<MeshNet> {
  return async ({ logger, clock = systemClock, random = Math.random }) => {
    const { stateDir } = init;
    const name = machineName(init.name);
    const identity = await loadOrCreateIdentity(stateDir);
    const membership = await MembershipStore.load({ stateDir, identity, name, clock });
    const remembered = await RememberedPeers.load({ stateDir, clock, logger });
    return Libp2pMeshNet.create(
      { ...init, name },
      { logger, clock, random, identity, membership, remembered },
    );
  };
}

/** `name` as members may be called: letters, digits, `.`, `_` and `-`, at most 63. */
function machineName(name: string): string {
  const plain = name.replaceAll(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return plain.slice(0, 63) || 'machine';
}
