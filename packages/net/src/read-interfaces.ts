import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { InterfaceFacts } from './interfaces.ts';

const SYS_CLASS_NET = '/sys/class/net';
const IF_INET6 = '/proc/net/if_inet6';

/** `IFF_POINTOPOINT` of <linux/if.h>. */
const POINT_TO_POINT = 0x10;
/** `IFA_F_TEMPORARY`, `IFA_F_DADFAILED`, `IFA_F_DEPRECATED` and `IFA_F_TENTATIVE` of <linux/if_addr.h>. */
const FLEETING = 0x01 | 0x08 | 0x20 | 0x40;

/** Names of links between two ends on systems that do not say so. */
const POINT_TO_POINT_NAME = /^(utun|tun|ppp|ipsec|wg)\d/;

/** The interfaces that are up and have a carrier, as the system sees them now. */
export function readInterfaces(): InterfaceFacts[] {
  const flags = ipv6Flags();
  return Object.entries(networkInterfaces()).map(([name, infos = []]) => ({
    name,
    loopback: infos.some(({ internal }) => internal),
    pointToPoint: isPointToPoint(name),
    inward: isInward(name),
    addresses: infos.map(({ address, cidr, family }) => ({
      address,
      prefix: Number(cidr?.split('/')[1] ?? (family === 'IPv4' ? 32 : 128)),
      family: family === 'IPv4' ? 4 : 6,
      fleeting: family === 'IPv6' && ((flags.get(`${name} ${expanded(address)}`) ?? 0) & FLEETING) !== 0,
    })),
  }));
}

function isPointToPoint(name: string): boolean {
  const flags = readIfThere(join(SYS_CLASS_NET, name, 'flags'));
  return flags === undefined ? POINT_TO_POINT_NAME.test(name) : (Number(flags) & POINT_TO_POINT) !== 0;
}

/** A bridge is the machine's way to the LAN where one of its ports is a device of the machine, as `eth0` or a bond. */
function isInward(name: string): boolean {
  const ports = join(SYS_CLASS_NET, name, 'brif');
  if (!existsSync(join(SYS_CLASS_NET, name, 'bridge')) || !existsSync(ports)) return false;
  return !readdirSync(ports).some((port) =>
    ['device', 'bonding', 'wireless'].some((kind) => existsSync(join(SYS_CLASS_NET, port, kind))),
  );
}

/** Linux's flags of every IPv6 address, by interface and the address's 32 digits; empty elsewhere. */
function ipv6Flags(): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of (readIfThere(IF_INET6) ?? '').split('\n')) {
    const [digits, , , , flags, name] = line.trim().split(/\s+/);
    if (name !== undefined) found.set(`${name} ${digits}`, Number.parseInt(flags ?? '0', 16));
  }
  return found;
}

/** An IPv6 address as 32 hexadecimal digits. */
function expanded(address: string): string {
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const [first, last] = [groups(head), groups(tail ?? '')];
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  return [...first, ...Array.from({ length: zeros }, () => '0'), ...last]
    .map((group) => group.padStart(4, '0'))
    .join('');
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Not Linux, or the interface went away between two looks.
    return undefined;
  }
}
