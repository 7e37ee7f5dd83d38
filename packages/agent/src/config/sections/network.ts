import type { InterfaceRules } from '@mesh/net';
import { type KeySchemas, section } from '../key-schema.ts';

/** How this machine reaches others. */
export interface NetworkConfig {
  /** TCP port of the control plane; 0 for any free one. */
  listenPort?: number;
  /** TCP port of the data plane; 0 for any free one. */
  transferPort?: number;
  /** Agents to call, for networks without multicast: names, IP addresses, with or without a port, or multiaddrs. */
  peers?: string[];
  /** Whether to look for agents by multicast DNS. */
  mdns?: boolean;
  /** Which network interfaces to use. */
  interfaces?: InterfaceConfig;
}

/** Names of network interfaces, `*` standing for any characters. */
export interface InterfaceConfig extends InterfaceRules {
  allow?: string[];
  deny?: string[];
}

export const DEFAULT_LISTEN_PORT = 4747;
export const DEFAULT_TRANSFER_PORT = 4748;

/** The forms that `parseAddress` of @mesh/net takes: a multiaddr, an IPv6 address without brackets or with, a name or an IPv4 address. */
const PEER_PATTERN =
  '^(/(ip4|ip6|dns|dns4|dns6)/[^/ ]{1,253}/tcp/[0-9]{1,5}(/p2p/[A-Za-z0-9]{1,80})?|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*|\\[[0-9A-Fa-f:.]+\\](:[0-9]{1,5})?|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}(:[0-9]{1,5})?)$';
const interfaceNames = {
  type: 'array',
  items: { type: 'string', pattern: '^[^ /]{1,32}$' },
  maxItems: 64,
} as const;

export const networkKeys: KeySchemas<NetworkConfig> = {
  listenPort: {
    description: 'TCP port for other machines; 0 for any that is free.',
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: DEFAULT_LISTEN_PORT,
  },
  transferPort: {
    description:
      'TCP port from which members fetch store paths; 0 for any that is free, which is also taken where another agent has this one.',
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: DEFAULT_TRANSFER_PORT,
  },
  peers: {
    description:
      'Agents to call, where multicast does not reach them ([docs/network.md](network.md)): names or IP addresses, with `:PORT` where it is not 4747. `mesh agent --peer` adds to them.',
    type: 'array',
    items: { type: 'string', pattern: PEER_PATTERN },
    maxItems: 64,
    default: [],
    examples: [['192.168.5.101', 'ruby.example.org:5000', '[fd00::7]:4747', '/ip4/192.168.5.101/tcp/4747']],
  },
  mdns: {
    description: 'Announce this machine on the LAN by multicast DNS (UDP 5353), and look for others.',
    type: 'boolean',
    default: true,
  },
  interfaces: section<InterfaceConfig>(
    'Network interfaces to meet other machines on and to name to them ([docs/network.md](network.md)). Loopback is none, nor, unless allowed by name, a bridge of containers or virtual machines.',
    {
      allow: {
        description: 'These and no others. `*` stands for any characters.',
        without: 'all that lead to other machines',
        ...interfaceNames,
        examples: [['eth0', 'wg*']],
      },
      deny: {
        description: 'Never these, even if allowed.',
        default: [],
        ...interfaceNames,
        examples: [['tun0']],
      },
    },
  ),
};
