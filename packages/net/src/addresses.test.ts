import { multiaddr } from '@multiformats/multiaddr';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressesToTell, orderForDialing, parseAddress, readableAddress } from './addresses.ts';
import type { InterfaceAddress } from './interfaces.ts';

const own = (address: string, prefix: number, family: 4 | 6): InterfaceAddress => ({
  name: 'eth0',
  multicast: true,
  address,
  prefix,
  family,
});
const LAN = own('192.168.5.20', 24, 4);
const LAN6 = own('fd00:5::20', 64, 6);

describe('an address somebody typed', () => {
  it.each([
    ['/ip4/10.0.0.1/tcp/80', '/ip4/10.0.0.1/tcp/80'],
    ['10.0.0.1', '/ip4/10.0.0.1/tcp/4747'],
    ['10.0.0.1:80', '/ip4/10.0.0.1/tcp/80'],
    ['ruby', '/dns/ruby/tcp/4747'],
    ['ruby.example.org:5000', '/dns/ruby.example.org/tcp/5000'],
    ['fd00::1', '/ip6/fd00::1/tcp/4747'],
    ['[fd00::1]', '/ip6/fd00::1/tcp/4747'],
    ['[fd00::1]:80', '/ip6/fd00::1/tcp/80'],
    ['/dns6/ruby/tcp/80', '/dns6/ruby/tcp/80'],
  ])('%s is %s', (text, address) => {
    expect(parseAddress(text)).toBe(address);
  });

  it.each([
    '',
    ':4747',
    '10.0.0.256',
    '10.0.0',
    'ruby:0',
    'ruby:70000',
    'ruby:',
    '[10.0.0.1]:80',
    '[ruby]:80',
    'http://ruby',
    'two words',
    'ruby/x',
    '/ip4/10.0.0.1/udp/80',
    '/ip4/10.0.0.1',
    '-ruby',
    '[fe80::1%eth0]',
  ])('%j is refused with what to write instead', (text) => {
    expect(() => parseAddress(text)).toThrow(
      expect.objectContaining({ code: 'NET_BAD_ADDRESS', message: expect.stringContaining('write it like') }),
    );
  });

  it('never fails in another way', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.domain(), fc.webAuthority()), (text) => {
        try {
          multiaddr(parseAddress(text));
        } catch (error) {
          expect(error).toMatchObject({ code: 'NET_BAD_ADDRESS' });
        }
      }),
    );
  });
});

describe('addresses of a peer', () => {
  const near = '/ip4/192.168.5.9/tcp/4747';
  const near6 = '/ip6/fd00:5::9/tcp/4747';
  const vpn = '/ip4/10.9.0.9/tcp/4747';
  const far6 = '/ip6/2001:db8::9/tcp/4747';

  it('are tried in a network of our own first, and of a family we lack last', () => {
    expect(orderForDialing([far6, vpn, near], [LAN])).toEqual([near, vpn, far6]);
    expect(orderForDialing([vpn, far6, near6], [LAN6])).toEqual([near6, far6, vpn]);
  });

  it('are all tried, each once, and equals in the order they came in', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.constantFrom(near, near6, vpn, far6)), (addresses) => {
        const ordered = orderForDialing(addresses, [LAN, LAN6]);
        expect(ordered.toSorted()).toEqual(addresses.toSorted());
        const local = (list: string[]) => list.filter((at) => at === near || at === near6);
        expect(ordered.slice(0, local(addresses).length)).toEqual(local(addresses));
      }),
    );
  });

  it('are told in the order of our own; loopback only where there is nothing else', () => {
    const listening = [
      '/ip4/127.0.0.1/tcp/1',
      '/ip6/::1/tcp/1',
      '/ip6/fd00:5::20/tcp/1',
      '/ip4/192.168.5.20/tcp/1',
    ];
    const all = listening.map((at) => multiaddr(at));
    expect(addressesToTell(all, [LAN, LAN6])).toEqual(['/ip4/192.168.5.20/tcp/1', '/ip6/fd00:5::20/tcp/1']);
    expect(addressesToTell(all, [])).toEqual(['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1']);
  });

  it('are shown as people write them', () => {
    expect([near, near6].map(readableAddress)).toEqual(['192.168.5.9:4747', '[fd00:5::9]:4747']);
  });
});
