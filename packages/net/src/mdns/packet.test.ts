import type { Answer } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../identity.ts';
import { decodeAnnouncements, decodeGoodbyes, encodeAnnouncement, SERVICE } from './packet.ts';

const { peerId } = generateIdentity();
const meshId = generateIdentity().peerId;
const txt = (...data: string[]): Answer[] => [
  { name: SERVICE, type: 'PTR', data: `x.${SERVICE}` },
  { name: `x.${SERVICE}`, type: 'TXT', data },
];

describe('announcements', () => {
  it('are understood by those who make them', () => {
    const peer = { peerId, addresses: ['/ip4/10.0.0.1/tcp/4747', '/ip4/10.1.0.1/tcp/4747'], meshId };
    expect(decodeAnnouncements(encodeAnnouncement('x', peer))).toEqual([peer]);
  });

  it('with no time left are a goodbye and nothing else', () => {
    const peer = { peerId, addresses: ['/ip4/10.0.0.1/tcp/4747'], meshId };
    const goodbye = encodeAnnouncement('x', peer, 0);
    expect(decodeAnnouncements(goodbye)).toEqual([]);
    expect(decodeGoodbyes(goodbye)).toEqual([{ name: `x.${SERVICE}`, peerId }]);
    expect(decodeGoodbyes(encodeAnnouncement('x', peer))).toEqual([]);
  });

  it('of other libp2p programs are understood, without a mesh', () => {
    expect(decodeAnnouncements(txt(`dnsaddr=/ip4/10.0.0.1/tcp/4001/p2p/${peerId}`))).toEqual([
      { peerId, addresses: ['/ip4/10.0.0.1/tcp/4001'] },
    ]);
  });

  it.each([
    ['a relay', `dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/${peerId}/p2p-circuit/p2p/${meshId}`],
    ['a name to look up', `dnsaddr=/dns4/example.org/tcp/1/p2p/${peerId}`],
    ['no peer id', 'dnsaddr=/ip4/10.0.0.1/tcp/1'],
    [
      'a peer id of another kind',
      'dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
    ],
    ['another transport', `dnsaddr=/ip4/10.0.0.1/udp/1/quic-v1/p2p/${peerId}`],
  ])('with %s are ignored', (_what, text) => {
    expect(decodeAnnouncements(txt(text))).toEqual([]);
  });

  it('never throw, whatever they hold', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.string().map((s) => `dnsaddr=/ip4/${s}/p2p/${peerId}`),
      fc.string().map((s) => `mesh=${s}`),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 5 }), (strings) => {
        expect(decodeAnnouncements(txt(...strings)).length).toBeLessThanOrEqual(1);
      }),
    );
  });
});
