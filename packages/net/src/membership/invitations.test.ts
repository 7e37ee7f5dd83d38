import { describe, expect, it } from 'vitest';
import {
  hasOpenInvitation,
  MAX_FAILURES_PER_MINUTE,
  MAX_INVITATIONS,
  noInvitations,
  openInvitation,
  redeem,
} from './invitations.ts';

const token = new Uint8Array(16).fill(1);
const wrong = new Uint8Array(16).fill(2);
const open = (now = 0) =>
  openInvitation(noInvitations(), { token, expiresAt: now + 1_000, roles: ['build'] }, now);

describe('an invitation', () => {
  it('lets one peer in, with its roles', () => {
    const first = redeem(open(), token, 'ann', 10);
    expect(first.result).toEqual({ ok: true, roles: ['build'] });
    expect(redeem(first.state, token, 'bob', 20).result).toEqual({ ok: false, reason: 'used' });
    expect([hasOpenInvitation(open(), 10), hasOpenInvitation(first.state, 10)]).toEqual([true, false]);
  });

  it('may be shown again by the same peer, whose answer was lost', () => {
    const first = redeem(open(), token, 'ann', 10);
    expect(redeem(first.state, token, 'ann', 20).result).toMatchObject({ ok: true });
  });

  it('expires', () => {
    expect(redeem(open(), token, 'ann', 1_000).result).toEqual({ ok: false, reason: 'expired' });
    expect(hasOpenInvitation(open(), 999)).toBe(true);
    expect(hasOpenInvitation(open(), 1_000)).toBe(false);
  });

  it('does not open to another token', () => {
    expect(redeem(open(), wrong, 'ann', 10).result).toEqual({ ok: false, reason: 'unknown' });
  });

  it('answers only so many wrong tokens a minute, then nobody', () => {
    let state = open();
    for (let i = 0; i < MAX_FAILURES_PER_MINUTE; i++) state = redeem(state, wrong, 'eve', 10).state;
    expect(redeem(state, token, 'ann', 20).result).toEqual({ ok: false, reason: 'too-many-attempts' });
    const later = openInvitation(state, { token, expiresAt: 120_000, roles: [] }, 61_000);
    expect(redeem(later, token, 'ann', 61_000).result).toMatchObject({ ok: true });
  });

  it('is one of a limited number, the oldest giving way', () => {
    let state = noInvitations();
    for (let i = 0; i <= MAX_INVITATIONS; i++) {
      state = openInvitation(state, { token: new Uint8Array(16).fill(i), expiresAt: 1_000, roles: [] }, 0);
    }
    expect(state.invitations.size).toBe(MAX_INVITATIONS);
    expect(redeem(state, new Uint8Array(16).fill(0), 'ann', 1).result).toMatchObject({ reason: 'unknown' });
  });
});
