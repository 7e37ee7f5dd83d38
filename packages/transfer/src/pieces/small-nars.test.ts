import { expect, test } from 'vitest';
import { MAX_BATCH_PATHS } from '../side-channel/limits.ts';
import { MemoryPeers } from '../test-support/memory-peers.ts';
import { BATCHED_NAR_BYTES } from './limits.ts';
import { SmallNars } from './small-nars.ts';

const alpha = { peerId: 'alpha', name: 'alpha' };
const never = new AbortController().signal;
const nar = (byte: number, bytes = 100) => Buffer.alloc(bytes, byte);

function peersWith(nars: readonly [string, Uint8Array][]): { peers: MemoryPeers; small: SmallNars } {
  const peers = new MemoryPeers();
  peers.add('alpha', nars);
  return { peers, small: new SmallNars(peers) };
}

test('NARs wanted in the same moment come together, each to whom wanted it', async () => {
  const nars = Array.from({ length: 50 }, (_, at): [string, Buffer] => [`p${at}`, nar(at, 50 + at)]);
  const { peers, small } = peersWith(nars);
  const came = await Promise.all(nars.map(([path, bytes]) => small.read(alpha, path, bytes.length, never)));
  expect(came.map((bytes) => Buffer.from(bytes))).toEqual(nars.map(([, bytes]) => bytes));
  expect(peers.batches).toBe(1);
});

test('more than a batch may name, or hold, come as several', async () => {
  const nars = Array.from({ length: MAX_BATCH_PATHS + 1 }, (_, at): [string, Buffer] => [
    `p${at}`,
    nar(1, 9),
  ]);
  nars.push(
    ...Array.from({ length: 20 }, (_, at): [string, Buffer] => [`q${at}`, nar(2, BATCHED_NAR_BYTES)]),
  );
  const { peers, small } = peersWith(nars);
  const came = await Promise.all(nars.map(([path, bytes]) => small.read(alpha, path, bytes.length, never)));
  expect(came.map(({ length }) => length)).toEqual(nars.map(([, { length }]) => length));
  expect(peers.batches).toBe(3);
});

test('larger ones are asked for one by one', async () => {
  const large = nar(3, BATCHED_NAR_BYTES + 1);
  const { peers, small } = peersWith([
    ['a', large],
    ['b', large],
  ]);
  await Promise.all(['a', 'b'].map((path) => small.read(alpha, path, large.length, never)));
  expect(peers.batches).toBe(0);
});

test('where one of them is not there the others come all the same', async () => {
  const { small } = peersWith([
    ['a', nar(1)],
    ['c', nar(3)],
  ]);
  const [a, b, c] = await Promise.allSettled(
    ['a', 'b', 'c'].map((path) => small.read(alpha, path, 100, never)),
  );
  expect([a!.status, b!.status, c!.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect((b as PromiseRejectedResult).reason).toMatchObject({ code: 'TRANSFER_PEER_REFUSED', path: 'b' });
});

test('with the peer all of them are lost that had not come', async () => {
  const { peers, small } = peersWith([
    ['a', nar(1)],
    ['b', nar(2)],
    ['c', nar(3)],
  ]);
  peers.peers.get('alpha')!.diesAfter = 100;
  const came = await Promise.allSettled(['a', 'b', 'c'].map((path) => small.read(alpha, path, 100, never)));
  expect(came.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
});

test('giving one up leaves those of others alone', async () => {
  const { small } = peersWith([
    ['a', nar(1)],
    ['b', nar(2)],
  ]);
  const givenUp = new AbortController();
  const [a, b] = [small.read(alpha, 'a', 100, givenUp.signal), small.read(alpha, 'b', 100, never)];
  givenUp.abort(new Error('never mind'));
  await expect(a).rejects.toThrow('never mind');
  expect(await b).toEqual(nar(2));
});
