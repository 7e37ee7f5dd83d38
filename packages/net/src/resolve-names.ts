import { lookup } from 'node:dns/promises';
import { RESOLVE_TIMEOUT_MS } from './constants.ts';

/** A multiaddr that names a host: kind, name, the rest. */
const NAMED = /^\/(dns|dns4|dns6)\/([^/]+)(\/.*)$/;
const FAMILIES = { dns: 0, dns4: 4, dns6: 6 } as const;

/**
 * Multiaddrs with every host name replaced by all the addresses it has at the moment, as this machine's resolver (and its
 * `/etc/hosts`) says.
 * @throws what the resolver said where nothing at all is left
 */
export async function resolveNames(addresses: readonly string[]): Promise<string[]> {
  const found = await Promise.allSettled(addresses.map(resolve));
  const resolved = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  const failed = found.find((result) => result.status === 'rejected');
  if (resolved.length === 0 && failed !== undefined) throw failed.reason;
  return [...new Set(resolved)];
}

async function resolve(address: string): Promise<string[]> {
  const [, kind, name, rest] = NAMED.exec(address) ?? [];
  if (kind === undefined || name === undefined) return [address];
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`no name server answered for ${name}`)),
    RESOLVE_TIMEOUT_MS,
  );
  try {
    const family = FAMILIES[kind as keyof typeof FAMILIES];
    const hosts = await Promise.race([lookup(name, { all: true, family }), late.promise]);
    return hosts.map((host) => `/ip${host.family}/${host.address}${rest}`);
  } finally {
    clearTimeout(timer);
  }
}
