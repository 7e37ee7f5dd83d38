import { BlockList, isIP } from 'node:net';

/** What the system says of one network interface that is up and has a carrier. */
export interface InterfaceFacts {
  name: string;
  loopback: boolean;
  /** A link between two ends, as of a VPN: nothing to multicast on. */
  pointToPoint: boolean;
  /** A bridge that no network card is part of: behind it are containers or virtual machines of this host. */
  inward: boolean;
  addresses: readonly AddressFacts[];
}

/** One address of an interface. */
export interface AddressFacts {
  address: string;
  /** Bits of the network part. */
  prefix: number;
  family: 4 | 6;
  /** Changes by itself (RFC 8981) or is about to go: fit to call from, not to be called at. */
  fleeting: boolean;
}

/** Which interfaces an owner wants used. Entries are names, `*` standing for any characters. */
export interface InterfaceRules {
  /** If it names any, these only, whatever they look like. */
  allow?: readonly string[];
  /** Never these; stronger than `allow`. */
  deny?: readonly string[];
}

/** An address other machines can reach this one at. */
export interface InterfaceAddress {
  /** Name of its interface. */
  name: string;
  address: string;
  prefix: number;
  family: 4 | 6;
  /** Whether its interface is one to send multicast on. */
  multicast: boolean;
}

/** Interfaces that container and virtual machine managers make, by the names they give them. */
const VIRTUAL_NAME =
  /^(docker\d*$|docker_|br-[0-9a-f]{12}$|veth|virbr|vnet|lxc|lxd|incus|cni|flannel|podman|cali|cilium|kube-|nodelocaldns|tap|vmnet|vboxnet|bridge1\d\d$|awdl|llw)/;

/**
 * The addresses to listen for peers at and to tell them, best first: of the LAN before those of a VPN, and every interface's first
 * address before any one's second. Never loopback; no bridge of containers or virtual machines unless `rules` allow it by name; none
 * of a link alone (fe80::/10), which mean nothing on another machine.
 */
export function usableAddresses(
  interfaces: readonly InterfaceFacts[],
  rules: InterfaceRules = {},
): InterfaceAddress[] {
  const found = interfaces
    .filter((facts) => isUsable(facts, rules))
    .flatMap(({ name, pointToPoint, addresses }) =>
      addresses
        .filter(({ address, fleeting }) => !fleeting && !isLinkLocal(address) && isIP(address) !== 0)
        .map(({ address, prefix, family }, rank) => ({
          at: { name, address, prefix, family, multicast: !pointToPoint },
          rank: rank + (pointToPoint ? interfaces.length + 64 : 0),
        })),
    );
  return found.sort((a, b) => a.rank - b.rank).map(({ at }) => at);
}

function isUsable(facts: InterfaceFacts, { allow = [], deny = [] }: InterfaceRules): boolean {
  if (facts.loopback || matches(facts.name, deny)) return false;
  if (allow.length > 0) return matches(facts.name, allow);
  return !facts.inward && !VIRTUAL_NAME.test(facts.name);
}

function matches(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`).test(name);
  });
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}

/** Whether an IP address lies in the network of one of ours. */
export function isOnLink(host: string, own: readonly InterfaceAddress[]): boolean {
  const family = isIP(host);
  if (family === 0) return false;
  const networks = new BlockList();
  for (const { address, prefix, family: kind } of own) networks.addSubnet(address, prefix, `ipv${kind}`);
  return networks.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

/** Addresses that came and went between two looks. */
export interface AddressChange {
  come: InterfaceAddress[];
  gone: InterfaceAddress[];
}

/** What changed between two looks, or undefined where nothing did. */
export function addressChange(
  before: readonly InterfaceAddress[],
  now: readonly InterfaceAddress[],
): AddressChange | undefined {
  const key = ({ name, address, prefix }: InterfaceAddress) => `${name} ${address}/${prefix}`;
  const [old, fresh] = [new Set(before.map(key)), new Set(now.map(key))];
  const come = now.filter((at) => !old.has(key(at)));
  const gone = before.filter((at) => !fresh.has(key(at)));
  return come.length + gone.length === 0 ? undefined : { come, gone };
}
