import { type Channel, silentLogger, systemClock } from '@mesh/net';
import { until } from '@mesh/net/testing';
import { type HoldingsMessage, holdingsProtocol } from '@mesh/wire';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MemoryLan, type MemoryNode } from '../test-support/memory-net.ts';
import { storePathOf } from '../test-support/memory-store.ts';
import { Holdings } from './holdings.ts';

type HoldingsChannel = Channel<HoldingsMessage, HoldingsMessage>;

const path = (name: string | number) => storePathOf(`path-${name}`);

let lan: MemoryLan;
let members: Holdings[];

beforeEach(() => {
  lan = new MemoryLan();
  members = [];
});
afterEach(() => {
  for (const member of members) member.stop();
});

/** A member whose store has these paths; its directory is one where nothing happens. */
function member(peerId: string, valid: readonly string[] = []): { node: MemoryNode; holdings: Holdings } {
  const node = lan.join(peerId, peerId);
  const holdings = new Holdings({
    self: peerId,
    net: node,
    store: {
      among: async (paths) => new Set(paths.filter((each) => valid.includes(each))),
      all: async (begin) => valid.forEach(begin(valid.length)),
    },
    storeDirectory: '/proc/self/ns',
    clock: systemClock,
    logger: silentLogger,
  });
  members.push(holdings);
  return { node, holdings };
}

/** Both are told that the other is there. */
function meet(...nodes: MemoryNode[]): void {
  for (const node of nodes) {
    for (const other of nodes) if (other !== node) node.events.emit('member-up', other.peerId);
  }
}

describe('members that tell each other what they hold', () => {
  test('know it of each other without a question, and hear what is new', async () => {
    const a = member('a', [path(1), path(2)]);
    const b = member('b', [path(2)]);
    for (const { holdings } of [a, b]) holdings.start();
    meet(a.node, b.node);
    await until('both summaries', () => a.holdings.unknown().length + b.holdings.unknown().length === 0);
    expect(b.holdings.of(path(1))).toEqual(['a']);
    expect(a.holdings.of(path(1))).toEqual([]);
    expect(a.holdings.of(path(2))).toEqual(['b']);
    a.holdings.announce([path('new')]);
    await until('the news', () => b.holdings.of(path('new')).includes('a'));
    const { toldBytes, ownPaths } = a.holdings.counters();
    expect(ownPaths).toBe(3);
    a.holdings.announce([path('new'), path(1)]);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(a.holdings.counters().toldBytes).toBe(toldBytes);
  });

  test('a member that left is nobody’s holder; one that comes back tells anew', async () => {
    const a = member('a', [path(1)]);
    const b = member('b', [path(2)]);
    for (const { holdings } of [a, b]) holdings.start();
    meet(a.node, b.node);
    await until('the summary of b', () => a.holdings.of(path(2)).includes('b'));
    lan.leave('b');
    await until('b is forgotten', () => a.holdings.counters().filterBytes < 2 * 1_280);
    expect(a.holdings.of(path(2))).toEqual([]);
    const again = member('b', [path(3)]);
    again.holdings.start();
    meet(a.node, again.node);
    await until('the summary of b', () => a.holdings.of(path(3)).includes('b'));
    expect(a.holdings.of(path(2))).toEqual([]);
    expect(again.holdings.of(path(1))).toEqual(['a']);
  });

  test('a member that does not know the protocol is unknown, and asked', async () => {
    const a = member('a', [path(1)]);
    a.holdings.start();
    const old = lan.join('b', 'old');
    meet(a.node, old);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(a.holdings.unknown()).toEqual(['b']);
  });
});

describe('a member that says what it should not', () => {
  /** Talks to a member as the peer `0`, which calls. */
  async function caller(to: { node: MemoryNode; holdings: Holdings }): Promise<HoldingsChannel> {
    const node = lan.join('0', 'caller');
    to.holdings.start();
    to.node.events.emit('member-up', '0');
    return node.open(to.node.peerId, holdingsProtocol);
  }

  test('summaries of another version are refused once, with the reason, and the stream stays', async () => {
    const b = member('b');
    const channel = await caller(b);
    await channel.send({ type: 'summary', version: 2 });
    await channel.send({ type: 'summary', version: 2 });
    const heard: HoldingsMessage[] = [];
    for (let message = await channel.receive(); ; message = await channel.receive()) {
      heard.push(message!);
      if (message?.type === 'refused') break;
    }
    expect(heard.filter(({ type }) => type === 'refused')).toEqual([{ type: 'refused', reason: 'version' }]);
    expect(channel.signal.aborted).toBe(false);
    expect(b.holdings.unknown()).toEqual(['0']);
  });

  test('who refuses is told nothing more', async () => {
    const b = member('b', [path(1)]);
    const channel = await caller(b);
    await until('the summary', () => b.holdings.counters().ownPaths === 1);
    expect((await channel.receive())?.type).toBe('summary');
    await channel.send({ type: 'refused', reason: 'limit' });
    const { toldBytes } = b.holdings.counters();
    b.holdings.announce([path('new')]);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(b.holdings.counters().toldBytes).toBe(toldBytes);
  });

  test('news that do not follow end the stream, and what was told counts no more', async () => {
    const b = member('b');
    const channel = await caller(b);
    const page = new Uint8Array(128).fill(15);
    await channel.send({
      type: 'summary',
      version: 1,
      epoch: 1,
      bits: 1024,
      hashes: 7,
      paths: 9,
      offset: 0,
      page,
    });
    await until('the summary', () => b.holdings.unknown().length === 0);
    // The far end gives the channel up while it takes this.
    await channel
      .send({ type: 'added', epoch: 1, sequence: 5, hashes: new Uint8Array(20) })
      .catch(() => undefined);
    await channel.closed;
    expect(b.holdings.unknown()).toEqual(['0']);
  });
});
