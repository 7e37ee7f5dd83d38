import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ImportItem } from '../import/import.ts';
import { MemoryPeers } from '../test-support/memory-peers.ts';
import { narOf, storePathOf } from '../test-support/memory-store.ts';
import { WINDOW_BUDGET_BYTES } from './limits.ts';
import type { NarReport } from './nar-report.ts';
import { PartialNars } from './partial-nars.ts';
import { emptyPieceMap, setPiece } from './piece-map.ts';
import { PieceNars } from './piece-nars.ts';
import { WindowBudget } from './window-budget.ts';

const MIB = 1024 * 1024;
const LARGE = 40 * MIB;
const path = storePathOf('large');
const label = (peerId: string) => ({ peerId, name: `the ${peerId}` });

let directory: string;
let peers: MemoryPeers;
let budget: WindowBudget;
let partials: PartialNars;
let nars: PieceNars;
let reports: NarReport[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mesh-pieces-'));
  peers = new MemoryPeers();
  budget = new WindowBudget(WINDOW_BUDGET_BYTES);
  partials = new PartialNars({
    shelf: { open: async () => undefined, openBatch: async () => undefined },
    isValid: async () => false,
  });
  const now = () => performance.now();
  nars = new PieceNars({ peers, budget, directory, partials, now, random: Math.random });
  reports = [];
});
afterEach(() => rm(directory, { recursive: true }));

function contents(bytes: number): Uint8Array {
  const block = createHash('sha256').update('block').digest();
  const all = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += block.length) {
    all.set(block.subarray(0, bytes - at), at);
    all[at] = at >> 20;
    all[at + 1] = at >> 12;
  }
  return all;
}

const NAR = narOf(contents(LARGE));

function itemOf(nar: Uint8Array, ...sources: string[]): ImportItem {
  const narHash = createHash('sha256').update(nar).digest();
  const info = { path, narHash, narSize: nar.length, references: [], signatures: [] };
  const hints = sources.map((peerId) => ({ peer: label(peerId), bytesPerMs: 100_000 }));
  return { info, peer: label(sources[0]!), sources: hints };
}

async function fetch(item: ImportItem, signal = new AbortController().signal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const hear = (report: NarReport) => reports.push(report);
  for await (const chunk of nars.open(item, signal, hear)) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

const sharesOf = (peerId: string) =>
  reports.flatMap(({ shares }) => shares).filter(({ peer }) => peer === peerId);
const bytesOf = (peerId: string) => sharesOf(peerId).reduce((sum, { bytes }) => sum + bytes, 0);
const spoilt = (nar: Uint8Array, at: number) => {
  const copy = new Uint8Array(nar);
  copy[at]! ^= 1;
  return copy;
};

describe('a NAR', () => {
  test.each([
    ['small', 1_000],
    ['medium', 3 * MIB + 17],
    ['large', LARGE],
  ])('that is %s comes as it is, and who gave it is told', async (_size, bytes) => {
    const nar = narOf(contents(bytes));
    peers.add('giver', [[path, nar]]);
    expect(Buffer.compare(await fetch(itemOf(nar, 'giver')), nar)).toBe(0);
    expect(bytesOf('giver')).toBe(nar.length);
    expect(budget.usedBytes).toBe(0);
  });

  test('comes from all who have it at once, next to nothing twice', async () => {
    for (const name of ['a', 'b', 'c']) peers.add(name, [[path, NAR]]);
    expect(Buffer.compare(await fetch(itemOf(NAR, 'a', 'b', 'c')), NAR)).toBe(0);
    for (const name of ['a', 'b', 'c']) expect(bytesOf(name)).toBeGreaterThan(LARGE / 10);
    expect(bytesOf('a') + bytesOf('b') + bytesOf('c')).toBeLessThanOrEqual(NAR.length * 1.05);
  });

  test('goes on at the byte reached where a source dies, and the fault is told', async () => {
    const dying = peers.add('dying', [[path, NAR]]);
    dying.diesAfter = LARGE / 4;
    peers.add('living', [[path, NAR]]);
    expect(Buffer.compare(await fetch(itemOf(NAR, 'dying', 'living')), NAR)).toBe(0);
    expect(bytesOf('dying') + bytesOf('living')).toBeLessThanOrEqual(NAR.length * 1.05);
    expect(reports.flatMap(({ faults }) => faults)).toMatchObject([
      { peerId: 'dying', path, code: 'TRANSFER_PEER_LOST' },
    ]);
  });

  test('fails with the error of the last source, and holds no memory', async () => {
    peers.add('dying', [[path, NAR]]).diesAfter = LARGE / 4;
    await expect(fetch(itemOf(NAR, 'dying'))).rejects.toMatchObject({
      code: 'TRANSFER_PEER_LOST',
      peerId: 'dying',
      path,
    });
    expect(budget.usedBytes).toBe(0);
  });

  test('given up in the middle leaves nothing under way', async () => {
    peers.add('giver', [[path, NAR]]);
    const giveUp = new AbortController();
    const fetching = (async () => {
      for await (const _chunk of nars.open(itemOf(NAR, 'giver'), giveUp.signal, () => undefined)) {
        giveUp.abort(new Error('no longer wanted'));
      }
    })();
    await expect(fetching).rejects.toThrow('no longer wanted');
    expect(budget.usedBytes).toBe(0);
  });

  test('takes no more memory than its window, however slowly it is taken', async () => {
    peers.add('giver', [[path, NAR]]);
    let most = 0;
    for await (const _chunk of nars.open(
      itemOf(NAR, 'giver'),
      new AbortController().signal,
      () => undefined,
    )) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      most = Math.max(most, budget.usedBytes);
    }
    expect(most).toBeLessThanOrEqual(WINDOW_BUDGET_BYTES);
  });
});

describe('a NAR whose hash is wrong in the end', () => {
  test('is the fault of its only source', async () => {
    peers.add('liar', [[path, spoilt(NAR, 20 * MIB)]]);
    await expect(fetch(itemOf(NAR, 'liar'))).rejects.toMatchObject({
      code: 'TRANSFER_BAD_HASH',
      peerId: 'liar',
    });
  });

  test('is the fault of the liar among honest ones, who are not blamed', async () => {
    const everywhere = new Uint8Array(NAR);
    for (let at = 4_096; at < LARGE; at += 65_536) everywhere[at]! ^= 1;
    peers.add('honest', [[path, NAR]]);
    peers.add('liar', [[path, everywhere]]);
    peers.add('upright', [[path, NAR]]);
    const fetching = fetch(itemOf(NAR, 'honest', 'liar', 'upright'));
    await expect(fetching).rejects.toMatchObject({ code: 'TRANSFER_BAD_HASH', peerId: 'liar', path });
    expect(reports.flatMap(({ faults }) => faults)).toEqual([]);
  });

  test('names every liar', async () => {
    const lies = (byte: number) => {
      const nar = new Uint8Array(NAR);
      for (let at = byte; at < LARGE; at += 65_536) nar[at]! ^= 1;
      return nar;
    };
    peers.add('first', [[path, lies(4_096)]]);
    peers.add('honest', [[path, NAR]]);
    peers.add('second', [[path, lies(8_192)]]);
    const fault = await fetch(itemOf(NAR, 'first', 'honest', 'second')).catch((error: unknown) => error);
    const told = reports.flatMap(({ faults }) => faults.map(({ peerId }) => peerId));
    expect([(fault as { peerId: string }).peerId, ...told].toSorted()).toEqual(['first', 'second']);
  });

  test('is not blamed on a fetcher that passed it on', async () => {
    const source = peers.add('source', [[path, NAR]]);
    const relay = peers.add('relay', [[path, spoilt(NAR, 39 * MIB)]]);
    // Slow enough that the spool is there, and the relay asked, before it is through.
    source.delayMs = 20;
    source.holding = { complete: true, pieces: new Uint8Array(0), fetchers: ['relay'] };
    const map = emptyPieceMap(41);
    for (let piece = 30; piece < 41; piece += 1) setPiece(map, piece);
    relay.holding = { complete: false, pieces: map, fetchers: [] };
    // Not `rejects`: were it to come, 40 MiB would be printed.
    const fault = await fetch(itemOf(NAR, 'source')).then(
      ({ length }) => length,
      (error: unknown) => error,
    );
    expect(fault).toMatchObject({ code: 'TRANSFER_SIDE_CHANNEL', peerId: 'relay' });
    expect(reports.flatMap(({ faults }) => faults)).toEqual([]);
    // Fetched from the one alone, it comes.
    expect(Buffer.compare(await fetch({ ...itemOf(NAR, 'source'), alone: true }), NAR)).toBe(0);
  });
});

describe('others that fetch the same', () => {
  test('give what they have, and get what is here; the spool has no name', async () => {
    const source = peers.add('source', [[path, NAR]]);
    const other = peers.add('other', [[path, NAR]]);
    source.holding = { complete: true, pieces: new Uint8Array(0), fetchers: ['other'] };
    const map = emptyPieceMap(41);
    for (let piece = 20; piece < 41; piece += 1) setPiece(map, piece);
    other.holding = { complete: false, pieces: map, fetchers: ['source'] };
    source.delayMs = 2;
    const got: string[] = [];
    let served = 0;
    const end = partials.watch('watcher', path, ({ pieces, complete }) => {
      served = pieces.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
      got.push(complete ? 'complete' : 'partial');
    });
    expect(Buffer.compare(await fetch(itemOf(NAR, 'source')), NAR)).toBe(0);
    expect(bytesOf('other')).toBeGreaterThan(5 * MIB);
    expect(source.sent + other.sent).toBeLessThanOrEqual(NAR.length * 1.05);
    await expect.poll(() => served).toBeGreaterThan(30);
    const reader = (await partials.open(path, new AbortController().signal))!;
    const piece = Math.floor(LARGE / MIB / 2);
    const bytes: Uint8Array[] = [];
    for await (const chunk of reader.read(piece * MIB, MIB, new AbortController().signal)) bytes.push(chunk);
    expect(Buffer.compare(Buffer.concat(bytes), NAR.subarray(piece * MIB, (piece + 1) * MIB))).toBe(0);
    expect(await readdir(directory)).toEqual([]);
    end();
  });
});

describe('the board', () => {
  test('tells those who watch a path of each other, and of what is valid here', async () => {
    const heard: Record<string, unknown[]> = { a: [], b: [] };
    const endA = partials.watch('a', path, (holding) => heard.a!.push(holding));
    await expect.poll(() => heard.a!.length).toBe(1);
    const endB = partials.watch('b', path, (holding) => heard.b!.push(holding));
    await expect.poll(() => heard.b!.length).toBe(1);
    expect(heard.a!.at(-1)).toMatchObject({ complete: false, fetchers: ['b'] });
    expect(heard.b!.at(-1)).toMatchObject({ complete: false, fetchers: ['a'] });
    partials.valid(path);
    expect(heard.a!.at(-1)).toMatchObject({ complete: true });
    endA();
    endB();
  });

  test('gives no piece that is not there yet', async () => {
    const partial = partials.begin(path, 3 * MIB)!;
    partial.add(1, { read: async (_offset, bytes) => new Uint8Array(bytes) });
    const reader = (await partials.open(path, new AbortController().signal))!;
    const read = async (offset: number, bytes: number) => {
      let count = 0;
      for await (const chunk of reader.read(offset, bytes, new AbortController().signal))
        count += chunk.length;
      return count;
    };
    expect(await read(MIB, MIB)).toBe(MIB);
    await expect(read(0, MIB)).rejects.toThrow('not come in yet');
    await expect(read(MIB + 5, MIB)).rejects.toThrow('not come in yet');
    partial.end();
    expect(await partials.open(path, new AbortController().signal)).toBeUndefined();
  });
});
