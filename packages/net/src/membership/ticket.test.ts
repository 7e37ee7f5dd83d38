import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../identity.ts';
import { decodeTicket, encodeTicket, type Ticket } from './ticket.ts';

const founder = generateIdentity().peerId;
const ticket: Ticket = {
  meshId: founder,
  inviter: generateIdentity().peerId,
  addresses: ['/ip4/192.168.1.10/tcp/4747', '/ip4/10.0.0.1/tcp/4747'],
  token: new Uint8Array(randomBytes(16)),
  expiresAt: 1_760_000_000_000,
};

describe('a ticket', () => {
  it('survives being written and read', () => {
    expect(decodeTicket(encodeTicket(ticket))).toEqual(ticket);
    expect(decodeTicket(encodeTicket({ ...ticket, inviter: founder }))).toEqual({
      ...ticket,
      inviter: founder,
    });
  });

  it('is one word of letters and digits that begins with mesh1', () => {
    expect(encodeTicket(ticket)).toMatch(/^mesh1[a-z2-7]{100,350}$/);
  });

  it('survives capitals, line breaks and spaces', () => {
    const text = encodeTicket(ticket)
      .toUpperCase()
      .replaceAll(/(.{40})/g, '$1\n ');
    expect(decodeTicket(`  ${text}\n`)).toEqual(ticket);
  });

  it('is refused with any one character changed, dropped or doubled', () => {
    const text = encodeTicket(ticket);
    const place = fc.integer({ min: 0, max: text.length - 1 });
    fc.assert(
      fc.property(place, fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz23456701-'), (at, character) => {
        fc.pre(text[at] !== character);
        for (const typo of [
          text.slice(0, at) + character + text.slice(at + 1),
          text.slice(0, at) + text.slice(at + 1),
          text.slice(0, at) + character + text.slice(at),
        ]) {
          if (typo === text) continue;
          let read: Ticket | undefined;
          try {
            read = decodeTicket(typo);
          } catch (error) {
            expect(error).toMatchObject({ code: 'NET_TICKET_GARBLED' });
          }
          // The unused bits of the last character carry nothing; a typo there changes nothing either.
          if (read !== undefined) expect(read).toEqual(ticket);
        }
      }),
    );
  });

  it.each(['', 'mesh1', 'mesh2abc', 'hello', `mesh1${'a'.repeat(10_000)}`])('is not %j', (text) => {
    expect(() => decodeTicket(text)).toThrow(expect.objectContaining({ code: 'NET_TICKET_GARBLED' }));
  });
});
