import { afterEach, describe, expect, test } from 'vitest';
import { BIG, PatternShelf, SMALL, SMALL_TEXT } from '../test-support/pattern-shelf.ts';
import { NarConnections } from './nar-connections.ts';
import { NarServer } from './nar-server.ts';
import type { HoldingBoard } from './ranges.ts';

const SERVER = { peerId: 'peer-a', name: 'alpha' };
const RANGE = { path: SMALL, offset: 0, bytes: SMALL_TEXT.length };
const MIB = 1024 * 1024;
const never = new AbortController().signal;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** What is watched is complete. */
const board: HoldingBoard = {
  watch: (_peerId, _path, tell) => {
    tell({ complete: true, pieces: new Uint8Array(0), fetchers: [] });
    return () => undefined;
  },
};

function peer(): { server: NarServer; shelf: PatternShelf; pool: NarConnections; tickets: () => number } {
  const shelf = new PatternShelf();
  const server = new NarServer({ host: '127.0.0.1' }, { shelf, board, now: () => 0 });
  let tickets = 0;
  const pool = new NarConnections(async () => {
    tickets += 1;
    return { ...(await server.issueTicket('me')), hosts: ['127.0.0.1'] };
  });
  cleanups.push(() => server.close());
  cleanups.push(() => pool.close());
  return { server, shelf, pool, tickets: () => tickets };
}

async function small(pool: NarConnections, signal = never): Promise<string> {
  let text = '';
  await pool.read(SERVER, RANGE, (bytes) => (text += Buffer.from(bytes).toString()), signal);
  return text;
}

describe('kept connections', () => {
  test('small ranges share one, however many there are', async () => {
    const { pool, tickets } = peer();
    for (let turn = 0; turn < 5; turn += 1) expect(await small(pool)).toBe(SMALL_TEXT);
    const texts = await Promise.all(Array.from({ length: 200 }, () => small(pool)));
    expect(new Set(texts)).toEqual(new Set([SMALL_TEXT]));
    expect(tickets()).toBeLessThanOrEqual(4);
    expect(pool.received).toEqual({ narBytes: 205 * 13, wireBytes: 205 * 13 });
  });

  test('a small range does not wait behind a large one, and ranges of one path stay in order on one', async () => {
    const { pool, server, shelf } = peer();
    const gate = Promise.withResolvers<void>();
    shelf.gate = gate.promise;
    const done: string[] = [];
    const large = ['a', 'b', 'c', 'd'].map((name, turn) =>
      pool
        .read(SERVER, { path: BIG, offset: turn * 8 * MIB, bytes: 8 * MIB }, () => undefined, never)
        .then(() => done.push(name)),
    );
    await small(pool);
    gate.resolve();
    await Promise.all(large);
    expect(done).toEqual(['a', 'b', 'c', 'd']);
    expect(server.connections).toBe(2);
  });

  test('one that the peer closed meanwhile is replaced without anybody noticing', async () => {
    const { pool, server, tickets } = peer();
    await small(pool);
    server.dropPeer('me');
    const texts = await Promise.all([small(pool), small(pool), small(pool)]);
    expect(texts).toEqual([SMALL_TEXT, SMALL_TEXT, SMALL_TEXT]);
    expect(tickets()).toBe(2);
    server.dropPeer('me');
    const stop = new AbortController();
    await pool.watch(SERVER, BIG, ({ complete }) => complete && stop.abort(), stop.signal);
    expect(tickets()).toBe(3);
  });

  test('one lost in the middle of a range is a lost peer', async () => {
    const { pool, server } = peer();
    await small(pool);
    const range = { path: BIG, offset: 0, bytes: 16 * MIB };
    const lost = pool.read(SERVER, range, () => server.dropPeer('me'), never);
    await expect(lost).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST', peerId: 'peer-a', path: BIG });
    expect(await small(pool)).toBe(SMALL_TEXT);
  });

  test('a peer that left is let go, with everything under way', async () => {
    const { pool, server } = peer();
    const range = { path: BIG, offset: 0, bytes: 16 * MIB };
    const lost = pool.read(SERVER, range, () => pool.dropPeer('peer-a'), never);
    await expect(lost).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST' });
    await expect.poll(() => server.connections).toBe(0);
  });

  test('giving up while a connection is opened leaves it to the others', async () => {
    const { pool, tickets } = peer();
    const giveUp = new AbortController();
    const [given, other] = [small(pool, giveUp.signal), small(pool)];
    giveUp.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    expect(await other).toBe(SMALL_TEXT);
    expect(tickets()).toBe(1);
  });

  test('a peer that cannot be reached fails each range, and is tried anew for the next', async () => {
    const { server } = peer();
    let tries = 0;
    const pool = new NarConnections(async () => {
      tries += 1;
      return { ...(await server.issueTicket('me')), hosts: tries === 1 ? [] : ['127.0.0.1'] };
    });
    cleanups.push(() => pool.close());
    const failed = await Promise.allSettled([small(pool), small(pool)]);
    for (const one of failed) {
      expect(one).toMatchObject({ status: 'rejected', reason: { code: 'TRANSFER_PEER_LOST' } });
    }
    expect(await small(pool)).toBe(SMALL_TEXT);
  });

  test('closed, it takes no more work', async () => {
    const { pool } = peer();
    pool.close();
    await expect(small(pool)).rejects.toMatchObject({ code: 'TRANSFER_STOPPED' });
  });
});
