import type { Connection, MultiaddrConnection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { beforeEach, describe, expect, it } from 'vitest';
import { MAX_STRANGER_CONNECTIONS, STRANGER_STAY_MS } from './constants.ts';
import { Door } from './door.ts';
import { generateIdentity } from './identity.ts';
import { silentLogger } from './logger.ts';
import { Strangers } from './strangers.ts';
import { ManualClock } from './testing.ts';

let clock: ManualClock;
let door: Door;
let invited: boolean;
let members: Set<string>;
let aborted: string[];

beforeEach(() => {
  clock = new ManualClock();
  invited = true;
  members = new Set();
  aborted = [];
  door = new Door({
    isMember: (peerId) => members.has(peerId),
    isInvitationOpen: () => invited,
    strangers: new Strangers(clock),
    clock,
    logger: silentLogger,
  });
});

const somebody = () => generateIdentity().peerId;

/** Whether somebody who has proven to be `peerId` may come in. */
function knocks(peerId = somebody()): boolean {
  const connection = { remoteAddr: multiaddr('/ip4/10.0.0.9/tcp/4000') } as MultiaddrConnection;
  return door.gater.denyInboundEncryptedConnection?.(peerIdFromString(peerId), connection) === false;
}

/** Comes in, and stays until the connection is closed. */
function visits(peerId = somebody()): Connection {
  expect(knocks(peerId)).toBe(true);
  const connection = {
    direction: 'inbound',
    remotePeer: peerIdFromString(peerId),
    abort: () => aborted.push(peerId),
  } as unknown as Connection;
  door.opened(connection);
  return connection;
}

describe('the door', () => {
  it('lets members in always, strangers only while an invitation is open', () => {
    const member = somebody();
    members.add(member);
    invited = false;
    expect([knocks(member), knocks()]).toEqual([true, false]);
    invited = true;
    expect([knocks(member), knocks()]).toEqual([true, true]);
  });

  it('lets in only so many strangers at a time, and others when those have left', () => {
    const visitors = Array.from({ length: MAX_STRANGER_CONNECTIONS }, () => visits());
    expect(knocks()).toBe(false);
    door.closed(visitors[0]!);
    expect([knocks(), knocks()]).toEqual([true, false]);
  });

  it('keeps a place for a stranger whose connection never comes as long as one may stay, and gives it away once', () => {
    visits();
    for (let i = 1; i < MAX_STRANGER_CONNECTIONS; i++) expect(knocks()).toBe(true);
    expect(knocks()).toBe(false);
    clock.pass(STRANGER_STAY_MS);
    // The visitor is still there; the places of the others are free again.
    for (let i = 1; i < MAX_STRANGER_CONNECTIONS; i++) expect(knocks()).toBe(true);
    expect(knocks()).toBe(false);
  });

  it('shows out a stranger that stays too long, unless it became a member', () => {
    const [stranger, joiner] = [somebody(), somebody()];
    visits(stranger);
    visits(joiner);
    members.add(joiner);
    clock.pass(STRANGER_STAY_MS);
    expect(aborted).toEqual([stranger]);
  });
});
