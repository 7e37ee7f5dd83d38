import { createHash } from 'node:crypto';
import type { Role } from './records.ts';

/** Invitations open at a time; more are a script gone wrong. */
export const MAX_INVITATIONS = 64;
/** Wrong tokens that are answered in any minute. A token has 128 bits, so this is about noise in the log rather than luck. */
export const MAX_FAILURES_PER_MINUTE = 10;
const MINUTE_MS = 60_000;

interface Invitation {
  roles: readonly Role[];
  expiresAt: number;
  /** Who redeemed it. */
  usedBy?: string;
}

/** Open invitations of one inviter. Tokens are kept as hashes: state that is logged or dumped invites nobody. */
export interface InvitationState {
  readonly invitations: ReadonlyMap<string, Invitation>;
  /** When wrong tokens came, of the last minute. */
  readonly failures: readonly number[];
}

export type RedeemResult =
  | { ok: true; roles: readonly Role[] }
  | { ok: false; reason: 'unknown' | 'used' | 'expired' | 'too-many-attempts' };

export function noInvitations(): InvitationState {
  return { invitations: new Map(), failures: [] };
}

/** Opens an invitation that `token` redeems once, until `expiresAt` (wall-clock milliseconds). */
export function openInvitation(
  state: InvitationState,
  invitation: { token: Uint8Array; expiresAt: number; roles: readonly Role[] },
  now: number,
): InvitationState {
  const { token, expiresAt, roles } = invitation;
  const invitations = new Map(state.invitations);
  for (const [key, { expiresAt: end }] of invitations) if (end <= now - MINUTE_MS) invitations.delete(key);
  while (invitations.size >= MAX_INVITATIONS) invitations.delete(invitations.keys().next().value!);
  invitations.set(keyOf(token), { roles, expiresAt });
  return { ...state, invitations };
}

/** Whether a stranger may be let in to show a token. */
export function hasOpenInvitation(state: InvitationState, now: number): boolean {
  return [...state.invitations.values()].some(
    ({ expiresAt, usedBy }) => usedBy === undefined && expiresAt > now,
  );
}

/**
 * `peerId` shows `token`. The same peer may show it again while it is valid: the answer to the first time may have been lost.
 */
export function redeem(
  state: InvitationState,
  token: Uint8Array,
  peerId: string,
  now: number,
): { state: InvitationState; result: RedeemResult } {
  const failures = state.failures.filter((at) => at > now - MINUTE_MS);
  if (failures.length >= MAX_FAILURES_PER_MINUTE) {
    return { state: { ...state, failures }, result: { ok: false, reason: 'too-many-attempts' } };
  }
  const refuse = (reason: 'unknown' | 'used' | 'expired') => ({
    state: { ...state, failures: [...failures, now] },
    result: { ok: false, reason } as const,
  });
  const key = keyOf(token);
  const invitation = state.invitations.get(key);
  if (invitation === undefined) return refuse('unknown');
  if (invitation.usedBy !== undefined && invitation.usedBy !== peerId) return refuse('used');
  if (invitation.expiresAt <= now) return refuse('expired');
  const invitations = new Map(state.invitations).set(key, { ...invitation, usedBy: peerId });
  return { state: { invitations, failures }, result: { ok: true, roles: invitation.roles } };
}

function keyOf(token: Uint8Array): string {
  return createHash('sha256').update('mesh-invitation\0').update(token).digest('hex');
}
