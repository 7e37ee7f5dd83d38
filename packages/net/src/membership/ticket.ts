import { createHash } from 'node:crypto';
import { bytesSchema, decode, encode, JOIN_TOKEN_BYTES } from '@mesh/wire';
import * as v from 'valibot';
import { NetError } from '../errors.ts';
import { peerIdOfPublicKey, publicKeyOfPeerId } from '../identity.ts';

/** What a joiner needs to know: which mesh, whom to call and where, and the secret to show. */
export interface Ticket {
  meshId: string;
  /** Peer id of the inviter. */
  inviter: string;
  /** Multiaddrs of the inviter, without its peer id. */
  addresses: string[];
  /** 16 random bytes, valid once. */
  token: Uint8Array;
  /** Wall-clock milliseconds. */
  expiresAt: number;
}

const PREFIX = 'mesh1';
const CHECKSUM_BYTES = 4;
const MAX_TICKET_CHARS = 2_000;
/** A ticket is typed at times: the inviter's first addresses are enough. */
export const MAX_TICKET_ADDRESSES = 4;

const key = v.pipe(bytesSchema, v.length(32));
/** Short names: every byte of a ticket costs one and a half characters. */
const ticketSchema = v.object({
  v: v.literal(1),
  m: key,
  i: v.optional(key),
  a: v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.maxLength(MAX_TICKET_ADDRESSES)),
  t: v.pipe(bytesSchema, v.length(JOIN_TOKEN_BYTES)),
  e: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

/** `mesh1` and base32 (RFC 4648, lower case, no padding) of a checksum and the ticket's CBOR. One word, safe in any terminal. */
export function encodeTicket(ticket: Ticket): string {
  const m = publicKeyOfPeerId(ticket.meshId);
  const content = encode({
    v: 1,
    m,
    i: ticket.inviter === ticket.meshId ? undefined : publicKeyOfPeerId(ticket.inviter),
    a: ticket.addresses.slice(0, MAX_TICKET_ADDRESSES),
    t: ticket.token,
    e: ticket.expiresAt,
  });
  return PREFIX + encodeBase32(Buffer.concat([checksum(content), content]));
}

/**
 * The ticket in `text`; case and white space do not matter.
 * @throws {NetError} `NET_TICKET_GARBLED`
 */
export function decodeTicket(text: string): Ticket {
  const word = text.replaceAll(/\s/g, '').toLowerCase();
  if (!word.startsWith(PREFIX) || word.length > MAX_TICKET_CHARS) {
    throw garbled(`a ticket is one word that begins with "${PREFIX}"`);
  }
  const bytes = decodeBase32(word.slice(PREFIX.length));
  if (bytes === undefined) throw garbled('it has a character no ticket has');
  const content = bytes.subarray(CHECKSUM_BYTES);
  if (!checksum(content).equals(bytes.subarray(0, CHECKSUM_BYTES)))
    throw garbled('a character is wrong or missing');
  try {
    const { m, i, a, t, e } = decode(ticketSchema, content);
    const meshId = peerIdOfPublicKey(m);
    return {
      meshId,
      inviter: i === undefined ? meshId : peerIdOfPublicKey(i),
      addresses: a,
      token: t,
      expiresAt: e,
    };
  } catch (error) {
    throw garbled('another version of mesh made it', error);
  }
}

function garbled(why: string, cause?: unknown): NetError {
  return new NetError(
    'NET_TICKET_GARBLED',
    `This is not a usable ticket (${why}): run \`mesh invite\` on a member and paste what it prints, whole.`,
    { cause },
  );
}

function checksum(content: Uint8Array): Buffer {
  return createHash('sha256').update(content).digest().subarray(0, CHECKSUM_BYTES);
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

function encodeBase32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(value >> bits) & 31];
    }
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

function decodeBase32(text: string): Buffer | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return undefined;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((value >> bits) & 255);
    }
  }
  return Buffer.from(bytes);
}
