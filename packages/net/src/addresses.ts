import { isIP } from 'node:net';
import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { DEFAULT_PORT } from './constants.ts';
import { NetError } from './errors.ts';
import { type InterfaceAddress, isOnLink } from './interfaces.ts';

/** Of the addresses a node listens on, those that are among `own`, in that order, without peer id. */
export function reachableAddresses(
  listening: readonly Multiaddr[],
  own: readonly InterfaceAddress[],
): string[] {
  const plain = listening.map((address) => withoutPeerId(address.toString()));
  return own.flatMap(({ address }) => plain.filter((candidate) => hostOf(candidate) === address));
}

/** Addresses to name in tickets and records: the reachable ones; loopback only where there is nothing else. */
export function addressesToTell(listening: readonly Multiaddr[], own: readonly InterfaceAddress[]): string[] {
  const reachable = reachableAddresses(listening, own);
  if (reachable.length > 0) return reachable;
  const plain = listening.map((address) => withoutPeerId(address.toString()));
  return plain.filter((address) => /^(127\.|::1$)/.test(hostOf(address) ?? ''));
}

/**
 * A peer's addresses in the order in which this machine should try them: those in a network of its own first, then those of a family
 * it has addresses of, then the rest; among equals the order they came in.
 */
export function orderForDialing(addresses: readonly string[], own: readonly InterfaceAddress[]): string[] {
  const rank = (address: string): number => {
    const host = hostOf(address) ?? '';
    if (isOnLink(host, own)) return 0;
    const family = isIP(host);
    return family === 0 || own.some((at) => at.family === family) ? 1 : 2;
  };
  return addresses
    .map((address) => ({ address, rank: rank(address) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ address }) => address);
}

/** The IP address at the start of a multiaddr. */
export function hostOf(address: string): string | undefined {
  return /^\/ip[46]\/([^/]+)\//.exec(address)?.[1];
}

/** `HOST:PORT` of a multiaddr, as people write it. */
export function readableAddress(address: string): string {
  const [, kind, host, , port] = address.split('/');
  return kind === 'ip6' ? `[${host}]:${port}` : `${host}:${port}`;
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

const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?$/;

/**
 * An address somebody typed, as a multiaddr in its canonical form: a multiaddr, or a name, an IPv4 address or an IPv6 address, with or
 * without `:PORT` (an IPv6 address then in brackets); without one, the usual port.
 * @throws {NetError} `NET_BAD_ADDRESS`
 */
export function parseAddress(text: string): string {
  const usage = `"${text.slice(0, 100)}" is not an address of a peer: write it like 192.168.1.10, ruby.example.org:4747, [fd00::10]:4747 or /ip4/192.168.1.10/tcp/4747.`;
  try {
    const address = multiaddr(text.startsWith('/') ? text : multiaddrOf(text));
    const names = address.getComponents().map(({ name }) => name);
    if (/^(ip4|ip6|dns|dns4|dns6),tcp(,p2p)?$/.test(names.join())) return address.toString();
  } catch (error) {
    throw new NetError('NET_BAD_ADDRESS', usage, { cause: error });
  }
  throw new NetError('NET_BAD_ADDRESS', usage);
}

/** A host with or without a port, as a multiaddr; the empty string where it is neither. */
function multiaddrOf(text: string): string {
  if (isIP(text) === 6) return `/ip6/${text}/tcp/${DEFAULT_PORT}`;
  const [, bracketed, bare, port = String(DEFAULT_PORT)] =
    /^(?:\[([^\]]*)\]|([^:[\]/]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (Number(port) < 1 || Number(port) > 65_535) return '';
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? `/ip6/${bracketed}/tcp/${port}` : '';
  if (bare === undefined) return '';
  if (isIP(bare) === 4) return `/ip4/${bare}/tcp/${port}`;
  // What looks like an IPv4 address but is none is a slip of the finger, not a name.
  return HOST_NAME.test(bare) && !/^[\d.]+$/.test(bare) ? `/dns/${bare}/tcp/${port}` : '';
}

/** Whether a peer's word on its own address is one we may dial: IP and TCP, nothing that resolves or relays. */
export function isPlainAddress(address: string): boolean {
  return /^\/ip4\/\d{1,3}(\.\d{1,3}){3}\/tcp\/\d{1,5}$|^\/ip6\/[0-9a-f:.]+\/tcp\/\d{1,5}$/.test(address);
}
