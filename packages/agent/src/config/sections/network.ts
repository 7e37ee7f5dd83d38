import type { KeySchemas } from '../key-schema.ts';

/** How this machine reaches others. */
export interface NetworkConfig {
  /** TCP port of the control plane; 0 for any free one. */
  listenPort?: number;
  /** Multiaddrs of agents to call, for networks without multicast. */
  peers?: string[];
  /** Whether to look for agents by multicast DNS. */
  mdns?: boolean;
}

export const DEFAULT_LISTEN_PORT = 4747;

export const networkKeys: KeySchemas<NetworkConfig> = {
  listenPort: {
    description: 'TCP port for other machines; 0 for any that is free.',
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: DEFAULT_LISTEN_PORT,
  },
  peers: {
    description: 'Agents to call, where multicast does not reach them. `mesh agent --peer` adds to them.',
    type: 'array',
    items: { type: 'string', pattern: '^/' },
    maxItems: 64,
    default: [],
    examples: [['/ip4/192.168.5.101/tcp/4747']],
  },
  mdns: {
    description: 'Announce this machine on the LAN by multicast DNS (UDP 5353), and look for others.',
    type: 'boolean',
    default: true,
  },
};
