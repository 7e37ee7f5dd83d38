import { createHash } from 'node:crypto';
import type { PathDescription } from '@mesh/nix';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../errors.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';
import type { NarRange, NarReader, PeerRanges } from '../side-channel/ranges.ts';
import { narOf, storePathOf } from '../test-support/memory-store.ts';
import { LocalNars } from './local-nars.ts';

const NAR = Buffer.from(narOf(Buffer.alloc(50_000_000, 'several ranges of bytes ')));
const INFO: PathDescription = {
  path: storePathOf('app'),
  narHash: createHash('sha256').update(NAR).digest(),
  narSize: NAR.length,
  references: [],
  signatures: [],
};
const ALPHA = { peerId: 'a', name: 'alpha' };
const BETA = { peerId: 'b', name: 'beta' };

/** Members in this process: each has its own bytes, and some vanish after so many. */
class Members implements Pick<PeerRanges, 'read'> {
  readonly nars = new Map<PeerLabel, Uint8Array>();
  readonly asked: [PeerLabel, NarRange][] = [];
  readonly leavesAfter = new Map<PeerLabel, number>();

  async read(peer: PeerLabel, range: NarRange, take: (bytes: Uint8Array) => void, signal: AbortSignal) {
    this.asked.push([peer, range]);
    const nar = this.nars.get(peer)!;
    for (let at = range.offset; at < range.offset + range.bytes; at += 100_000) {
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      if (at >= (this.leavesAfter.get(peer) ?? Number.POSITIVE_INFINITY)) {
        throw new TransferError('TRANSFER_PEER_LOST', `${peer.name} left`, { peerId: peer.peerId });
      }
      take(nar.subarray(at, Math.min(at + 100_000, range.offset + range.bytes)));
    }
  }
}

const noShelf = { open: async () => undefined };
const never = new AbortController().signal;
const from = (members: Members, holders: PeerLabel[], signal = never) =>
  new LocalNars(noShelf, members).openNar({ from: 'members', info: INFO, holders }, signal);

async function read(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
}

describe('a NAR of members', () => {
  test('comes from the best holder, each byte asked for once', async () => {
    const members = new Members();
    members.nars.set(ALPHA, NAR).set(BETA, NAR);
    expect((await read(from(members, [ALPHA, BETA]))).equals(NAR)).toBe(true);
    expect(new Set(members.asked.map(([peer]) => peer))).toEqual(new Set([ALPHA]));
    expect(members.asked.reduce((sum, [, { bytes }]) => sum + bytes, 0)).toBe(NAR.length);
  });

  test('goes on at the byte reached at the next holder, where one is lost', async () => {
    const members = new Members();
    members.nars.set(ALPHA, NAR).set(BETA, NAR);
    members.leavesAfter.set(ALPHA, 2_500_000);
    expect((await read(from(members, [ALPHA, BETA]))).equals(NAR)).toBe(true);
    const ofBeta = members.asked.filter(([peer]) => peer === BETA).map(([, range]) => range);
    // 100,000 at a time from the start of the range, which begins at 2 MiB.
    expect(ofBeta.map(({ offset }) => offset)).toContain(2_097_152 + 500_000);
    expect(ofBeta.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(NAR.length - 2_400_000);
  });

  test('fails where all holders are lost', async () => {
    const members = new Members();
    members.nars.set(ALPHA, NAR).set(BETA, NAR);
    members.leavesAfter.set(ALPHA, 1_000_000).set(BETA, 2_000_000);
    await expect(read(from(members, [ALPHA, BETA]))).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST' });
    await expect(read(from(members, []))).rejects.toMatchObject({ code: 'TRANSFER_NO_SOURCE' });
  });

  test('never ends where it is not what was promised, and its giver is named if there was one', async () => {
    const spoilt = Buffer.from(NAR);
    spoilt[4_000_000]! ^= 1;
    const members = new Members();
    members.nars.set(ALPHA, NAR).set(BETA, spoilt);
    let bytes = 0;
    const count = async (chunks: AsyncIterable<Uint8Array>) => {
      for await (const chunk of chunks) bytes += chunk.length;
    };
    await expect(count(from(members, [BETA]))).rejects.toMatchObject({
      code: 'TRANSFER_BAD_HASH',
      peerId: 'b',
    });
    expect(bytes).toBeLessThan(NAR.length);
    members.leavesAfter.set(ALPHA, 1_000_000);
    await expect(read(from(members, [ALPHA, BETA]))).rejects.toMatchObject({
      code: 'TRANSFER_BAD_HASH',
      peerId: undefined,
    });
  });

  test('that nobody reads on asks for no more than a few ranges', async () => {
    const members = new Members();
    members.nars.set(ALPHA, NAR);
    for await (const _ of from(members, [ALPHA])) break;
    expect(members.asked.length).toBeLessThan(30);
  });
});

test('a part of an own NAR is read where it is, and its reader closed', async () => {
  let closed = 0;
  const reader: NarReader = {
    narBytes: NAR.length,
    async *read(offset, bytes) {
      yield NAR.subarray(offset, offset + bytes);
    },
    close: () => {
      closed += 1;
    },
  };
  const nars = new LocalNars(
    { open: async (path) => (path === INFO.path ? reader : undefined) },
    new Members(),
  );
  const wish = { from: 'store', path: INFO.path, offset: 10, bytes: 20 } as const;
  expect((await read(nars.openNar(wish, never))).equals(NAR.subarray(10, 30))).toBe(true);
  expect(closed).toBe(1);
  await expect(read(nars.openNar({ ...wish, path: storePathOf('gone') }, never))).rejects.toThrow();
});
