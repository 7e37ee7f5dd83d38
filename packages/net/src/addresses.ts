import { networkInterfaces } from 'node:os';
import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { NetError } from './errors.ts';

/** Interfaces of containers and virtual machines: nobody on the LAN reaches this machine through them. */
const VIRTUAL_INTERFACE = /^(docker|br-|veth|virbr|vnet|lxc|lxd|cni|flannel|podman|cali|tap)/;

/** Whether the network on this interface is one to meet peers on. */
export type InterfaceFilter = (name: string) => boolean;

/** Everything but loopback (which is left out by address) and the bridges of containers and virtual machines. */
export const defaultInterfaceFilter: InterfaceFilter = (name) => !VIRTUAL_INTERFACE.test(name);

/** An IPv4 address of an interface that is up. */
export interface InterfaceAddress {
  name: string;
  address: string;
  /** Bits of the network part. */
  prefix: number;
}

/** IPv4 addresses of the interfaces that are up, are not loopback, and pass the filter. */
export function lanAddresses(filter: InterfaceFilter): InterfaceAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, infos]) =>
    (infos ?? [])
      .filter((info) => info.family === 'IPv4' && !info.internal && filter(name))
      .map(({ address, cidr }) => ({ name, address, prefix: Number(cidr?.split('/')[1] ?? 32) })),
  );
}

/** Of the addresses a node listens on, those a peer can use: without peer id; loopback only where there is nothing else. */
export function reachableAddresses(listening: readonly Multiaddr[], filter: InterfaceFilter): string[] {
  const lan = new Set(lanAddresses(filter).map(({ address }) => address));
  const plain = listening.map((address) => withoutPeerId(address.toString()));
  const reachable = plain.filter((address) => lan.has(hostOf(address) ?? ''));
  return reachable.length > 0 ? reachable : plain.filter((address) => /^127\./.test(hostOf(address) ?? ''));
}

/** The IP address at the start of a multiaddr. */
export function hostOf(address: string): string | undefined {
  return /^\/ip[46]\/([^/]+)\//.exec(address)?.[1];
}

/** A multiaddr without `/p2p/…` at its end. */
export function withoutPeerId(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '');
}

/** The peer id at the end of a multiaddr, if it names one. */
export function peerIdIn(address: string): string | undefined {
  return multiaddr(address)
    .getComponents()
    .findLast(({ code }) => code === CODE_P2P)?.value;
}

/** `/ip4/…/tcp/…` or the like with `peerId` at its end. */
export function withPeerId(address: string, peerId: string): string {
  return `${withoutPeerId(address)}/p2p/${peerId}`;
}

/**
 * A multiaddr somebody typed, in its canonical form.
 * @throws {NetError} `NET_BAD_ADDRESS`
 */
export function parseAddress(text: string): string {
  const usage = `"${text.slice(0, 100)}" is not an address of a peer: write it like /ip4/192.168.1.10/tcp/4747.`;
  try {
    const address = multiaddr(text);
    const names = address.getComponents().map(({ name }) => name);
    if (/^(ip4|ip6|dns|dns4|dns6),tcp(,p2p)?$/.test(names.join())) return address.toString();
  } catch (error) {
    throw new NetError('NET_BAD_ADDRESS', usage, { cause: error });
  }
  throw new NetError('NET_BAD_ADDRESS', usage);
}

/** Whether a peer's word on its own address is one we may dial: IP and TCP, nothing that resolves or relays. */
export function isPlainAddress(address: string): boolean {
  return /^\/ip4\/\d{1,3}(\.\d{1,3}){3}\/tcp\/\d{1,5}$|^\/ip6\/[0-9a-f:.]+\/tcp\/\d{1,5}$/.test(address);
}
