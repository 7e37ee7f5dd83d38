import type { MemberView } from '@mesh/net';
import { describe, expect, it } from 'vitest';
import { EXPECTED_AGAIN_MS } from '../constants.ts';
import { absences, expectedMembers } from './expected-members.ts';

const NOW = 1_700_000_000_000;
const LONG_AGO = NOW - 10 * EXPECTED_AGAIN_MS;

const member = (name: string, changes: Partial<MemberView> = {}): MemberView => ({
  peerId: name,
  name,
  roles: ['build', 'submit'],
  self: false,
  connected: false,
  addresses: [],
  ...changes,
});

function namesExpected(members: MemberView[], changes: Partial<Parameters<typeof expectedMembers>[0]> = {}) {
  return expectedMembers({
    members,
    introduced: new Set(['h1']),
    called: new Set(),
    agentStartedMs: LONG_AGO,
    nowMs: NOW,
    ...changes,
  }).map(({ name }) => name);
}

describe('members that may come', () => {
  it('are those that were called and have not answered', () => {
    const members = [member('h1', { connected: true }), member('h2', { connected: true })];
    expect(namesExpected(members, { called: new Set(['h2']) })).toEqual(['h2']);
    expect(namesExpected(members)).toEqual([]);
  });

  it('are those that were there a moment ago', () => {
    const members = [
      member('h2', { lastSeenMs: NOW - EXPECTED_AGAIN_MS / 2 }),
      member('h3', { lastSeenMs: LONG_AGO }),
      member('h4'),
    ];
    expect(namesExpected(members)).toEqual(['h2']);
  });

  it('are all that an agent which has just started has not met', () => {
    const members = [member('h2', { lastSeenMs: LONG_AGO }), member('h3')];
    expect(namesExpected(members, { agentStartedMs: NOW - 1_000 })).toEqual(['h2', 'h3']);
  });

  it('are none that do not build', () => {
    expect(namesExpected([member('h2', { roles: ['submit'] })], { agentStartedMs: NOW })).toEqual([]);
  });
});

describe('members that are not among the workers', () => {
  it('are away, or do not work for this machine', () => {
    const members = [member('h1'), member('h2'), member('h3', { connected: true })];
    expect(absences({ members, introduced: new Set(['h1']) })).toEqual([
      'h2 is not connected',
      'h3 takes no work from this machine',
    ]);
  });
});
