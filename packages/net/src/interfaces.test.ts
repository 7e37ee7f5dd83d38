import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AddressFacts,
  addressChange,
  type InterfaceFacts,
  isOnLink,
  usableAddresses,
} from './interfaces.ts';

const address = (text: string, more: Partial<AddressFacts> = {}): AddressFacts => {
  const [host = '', prefix] = text.split('/');
  return {
    address: host,
    prefix: Number(prefix),
    family: host.includes(':') ? 6 : 4,
    fleeting: false,
    ...more,
  };
};
const device = (
  name: string,
  addresses: (string | AddressFacts)[],
  more: Partial<InterfaceFacts> = {},
): InterfaceFacts => ({
  name,
  loopback: false,
  pointToPoint: false,
  inward: false,
  addresses: addresses.map((at) => (typeof at === 'string' ? address(at) : at)),
  ...more,
});

const LO = device('lo', ['127.0.0.1/8', '::1/128'], { loopback: true });
const ETH0 = device('eth0', ['192.168.5.20/24', 'fd00:5::20/64', 'fe80::1/64']);
const WLAN0 = device('wlan0', ['10.0.0.7/8']);
const DOCKER = device('docker0', ['172.17.0.1/16']);
const VPN = device('wg0', ['10.9.0.2/24'], { pointToPoint: true });

const hosts = (interfaces: InterfaceFacts[], rules = {}) =>
  usableAddresses(interfaces, rules).map((at) => at.address);

describe('addresses others can reach this machine at', () => {
  it('are those of its networks, of both families, and no loopback', () => {
    expect(hosts([LO, ETH0, WLAN0])).toEqual(['192.168.5.20', '10.0.0.7', 'fd00:5::20']);
  });

  it.each([
    'docker0',
    'br-0123456789ab',
    'veth12ab34c',
    'virbr0',
    'vnet3',
    'cni0',
    'podman1',
    'lxcbr0',
    'lxdbr0',
    'cali1234',
    'flannel.1',
    'tap0',
    'vboxnet0',
  ])('are not those of %s, which containers or virtual machines are behind', (name) =>
    expect(hosts([device(name, ['172.20.0.1/16']), ETH0])).not.toContain('172.20.0.1'),
  );

  it('are not those of a bridge without a network card, whatever its name; one with a card is the LAN', () => {
    expect(hosts([device('home', ['10.1.0.1/24'], { inward: true })])).toEqual([]);
    expect(hosts([device('br0', ['192.168.5.20/24'])])).toEqual(['192.168.5.20']);
  });

  it('are neither of one link alone nor such as change by themselves', () => {
    const temporary = address('2001:db8::9f3a:1/64', { fleeting: true });
    expect(hosts([device('eth0', [temporary, '2001:db8::20/64', 'fe80::1/64', 'FE80::2/64'])])).toEqual([
      '2001:db8::20',
    ]);
  });

  it('are those of a VPN last, and not for multicast', () => {
    expect(usableAddresses([VPN, ETH0]).map(({ name, multicast }) => [name, multicast])).toEqual([
      ['eth0', true],
      ['eth0', true],
      ['wg0', false],
    ]);
  });

  it('are those the owner allows, and never those the owner denies', () => {
    expect(hosts([LO, ETH0, WLAN0, DOCKER], { allow: ['docker0', 'lo'] })).toEqual(['172.17.0.1']);
    expect(hosts([ETH0, WLAN0], { deny: ['wlan*'] })).toEqual(['192.168.5.20', 'fd00:5::20']);
    expect(hosts([ETH0, WLAN0], { allow: ['*'], deny: ['eth0'] })).toEqual(['10.0.0.7']);
  });

  it('take no name for a pattern but with a star', () => {
    expect(
      hosts([device('eth.5', ['10.5.0.1/24']), device('ethx5', ['10.6.0.1/24'])], { allow: ['eth.5'] }),
    ).toEqual(['10.5.0.1']);
  });
});

describe('a change of networks', () => {
  it('is what came and what went, and nothing where all is as before', () => {
    const [before, now] = [usableAddresses([ETH0]), usableAddresses([ETH0, WLAN0])];
    expect(addressChange(before, before)).toBeUndefined();
    expect(addressChange(before, now)).toEqual({
      come: [expect.objectContaining({ name: 'wlan0' })],
      gone: [],
    });
    expect(addressChange(now, before)).toEqual({
      come: [],
      gone: [expect.objectContaining({ name: 'wlan0' })],
    });
  });
});

describe('a network', () => {
  it('has exactly the addresses with its first bits', () => {
    const ipv4 = fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 255 })));
    const number = (bytes: number[]) => bytes.reduce((all, byte) => all * 256 + byte, 0);
    fc.assert(
      fc.property(ipv4, ipv4, fc.integer({ min: 1, max: 32 }), (own, other, prefix) => {
        const at = { name: 'eth0', address: own.join('.'), prefix, family: 4, multicast: true } as const;
        const size = 2 ** (32 - prefix);
        const same = Math.floor(number(own) / size) === Math.floor(number(other) / size);
        expect(isOnLink(other.join('.'), [at])).toBe(same);
      }),
    );
  });

  it('of one family has no address of the other', () => {
    expect(isOnLink('fd00:5::1', usableAddresses([ETH0]))).toBe(true);
    expect(isOnLink('fd00:6::1', usableAddresses([ETH0]))).toBe(false);
    expect(isOnLink('ruby', usableAddresses([ETH0]))).toBe(false);
  });
});
