import type { Answer, StringAnswer, TxtAnswer } from 'dns-packet';
import { isPlainAddress, peerIdIn, withoutPeerId, withPeerId } from '../addresses.ts';
import { MAX_ADDRESSES_PER_PEER } from '../constants.ts';
import { publicKeyOfPeerId } from '../identity.ts';

/**
 * Records of the libp2p mDNS specification: a PTR from the service to a random instance name, and a TXT of `dnsaddr=<multiaddr>`
 * strings under that. We add `mesh=<mesh id>`, which others ignore.
 */
export const SERVICE = '_p2p._udp.local';
/** Seconds other machines may remember an answer. */
export const TTL_SECONDS = 120;
/** A string of a TXT record is at most 255 bytes (RFC 1035 §3.3). */
const MAX_TXT_STRING_BYTES = 255;

/** A peer as its announcement describes it. Nothing of it is proven. */
export interface Announcement {
  peerId: string;
  /** Multiaddrs without peer id. */
  addresses: string[];
  meshId?: string;
}

/** The answers that announce a peer under `instance`; with no `ttl` left they take leave (RFC 6762 §10.1). */
export function encodeAnnouncement(instance: string, peer: Announcement, ttl = TTL_SECONDS): Answer[] {
  const name = `${instance}.${SERVICE}`;
  const strings = peer.addresses
    .slice(0, MAX_ADDRESSES_PER_PEER)
    .map((address) => `dnsaddr=${withPeerId(address, peer.peerId)}`);
  if (peer.meshId !== undefined) strings.push(`mesh=${peer.meshId}`);
  return [
    { name: SERVICE, type: 'PTR', class: 'IN', ttl, data: name },
    {
      name,
      type: 'TXT',
      class: 'IN',
      ttl,
      data: strings.filter((s) => Buffer.byteLength(s) <= MAX_TXT_STRING_BYTES),
    },
  ];
}

/** The peers a response announces; whatever is malformed is left out. */
export function decodeAnnouncements(answers: readonly Answer[]): Announcement[] {
  return announced(answers, (ttl) => ttl > 0).map(({ peer }) => peer);
}

/** Who takes leave in a response, and under which instance name. */
export function decodeGoodbyes(answers: readonly Answer[]): { name: string; peerId: string }[] {
  return announced(answers, (ttl) => ttl === 0).map(({ name, peer }) => ({ name, peerId: peer.peerId }));
}

function announced(
  answers: readonly Answer[],
  isWanted: (ttl: number) => boolean,
): { name: string; peer: Announcement }[] {
  const instances = new Set(
    answers
      .filter(
        (a): a is StringAnswer => a.type === 'PTR' && a.name === SERVICE && isWanted(a.ttl ?? TTL_SECONDS),
      )
      .map(({ data }) => data),
  );
  return answers
    .filter((a): a is TxtAnswer => a.type === 'TXT' && instances.has(a.name))
    .flatMap((txt) => {
      const peer = decodeTxt(txt);
      return peer === undefined ? [] : [{ name: txt.name, peer }];
    });
}

function decodeTxt({ data }: TxtAnswer): Announcement | undefined {
  const strings = (Array.isArray(data) ? data : [data]).slice(0, 4 * MAX_ADDRESSES_PER_PEER).map(String);
  const found = strings.flatMap((text) =>
    text.startsWith('dnsaddr=') ? (splitAddress(text.slice(8)) ?? []) : [],
  );
  const [first] = found;
  if (first === undefined) return undefined;
  const addresses = found.filter(({ peerId }) => peerId === first.peerId).map(({ address }) => address);
  const mesh = strings.find((text) => text.startsWith('mesh='))?.slice(5);
  const meshId = mesh !== undefined && isPeerId(mesh) ? { meshId: mesh } : {};
  return { peerId: first.peerId, addresses: addresses.slice(0, MAX_ADDRESSES_PER_PEER), ...meshId };
}

function splitAddress(text: string): { peerId: string; address: string } | undefined {
  const address = withoutPeerId(text);
  if (address === text || !isPlainAddress(address)) return undefined;
  try {
    const peerId = peerIdIn(text);
    return peerId !== undefined && isPeerId(peerId) ? { peerId, address } : undefined;
  } catch {
    // Not a multiaddr after all: somebody else's record, or noise.
    return undefined;
  }
}

function isPeerId(text: string): boolean {
  try {
    publicKeyOfPeerId(text);
    return true;
  } catch {
    // The only error there is: not a peer id of our kind.
    return false;
  }
}
