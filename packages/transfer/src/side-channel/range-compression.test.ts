import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { NarConnections } from './nar-connections.ts';
import { NarServer } from './nar-server.ts';
import { PackedBlocks } from './packed-blocks.ts';
import type { NarReader } from './ranges.ts';

const MIB = 1024 * 1024;
const SERVER = { peerId: 'peer-a', name: 'alpha' };
const PATH = '/nix/store/00000000000000000000000000000000-text';
const never = new AbortController().signal;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** 5.5 MiB that shrink well. */
const TEXT = Buffer.from(
  Array.from({ length: 400_000 }, (_, line) => `line ${line * 7919}\n`).join(''),
).subarray(0, 5.5 * MIB);

function reader(bytes: Buffer): NarReader {
  return {
    narBytes: bytes.length,
    contentId: 'c0ffee',
    async *read(offset, length) {
      for (let at = offset; at < offset + length; at += 100_000) {
        yield bytes.subarray(at, Math.min(at + 100_000, offset + length));
      }
    },
    close: () => undefined,
  };
}

/** A peer behind a network that takes so many bytes a second, by its own upload limit. */
function peer(limit: number | undefined, bytes = TEXT) {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-packed-'));
  const blocks = new PackedBlocks(directory);
  const server = new NarServer(
    { host: '127.0.0.1' },
    {
      shelf: { open: async () => reader(bytes), openBatch: async () => undefined },
      compressor: { blocks, freeCores: () => 2 },
      now: () => performance.now(),
    },
  );
  server.setUploadLimit(limit);
  const pool = new NarConnections(async () => ({
    ...(await server.issueTicket('me')),
    hosts: ['127.0.0.1'],
  }));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  cleanups.push(() => server.close());
  cleanups.push(() => pool.close());
  return { server, pool, directory };
}

async function read(pool: NarConnections, offset: number, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  await pool.read(SERVER, { path: PATH, offset, bytes }, (view) => parts.push(Buffer.from(view)), never);
  return Buffer.concat(parts);
}

test('on a slow network the bytes come compressed, and are what they were', async () => {
  const { pool, server, directory } = peer(8 * MIB);
  expect((await read(pool, 0, TEXT.length)).equals(TEXT)).toBe(true);
  expect(pool.received.narBytes).toBe(TEXT.length);
  expect(pool.received.wireBytes).toBeLessThan(TEXT.length / 2);
  expect(server.counters.rawBytes).toBe(TEXT.length);
  expect(server.counters.sentBytes).toBeLessThan(TEXT.length / 2);
  expect(readdirSync(directory)).toHaveLength(6);
});

test('a range that begins or ends within a block has its ends as they are', async () => {
  const { pool, directory } = peer(8 * MIB);
  const [from, to] = [MIB / 2, 3 * MIB + 100];
  expect((await read(pool, from, to - from)).equals(TEXT.subarray(from, to))).toBe(true);
  expect(readdirSync(directory).toSorted()).toEqual(['c0ffee-1', 'c0ffee-2']);
  expect(pool.received.wireBytes).toBeLessThan(MIB / 2 + 100 + MIB + 100);
});

test('without a limit, on a network as fast as this machine, they come as they are', async () => {
  const { pool, directory } = peer(undefined);
  expect((await read(pool, 0, TEXT.length)).equals(TEXT)).toBe(true);
  expect(pool.received.wireBytes).toBe(TEXT.length);
  expect(readdirSync(directory)).toEqual([]);
});

test('what does not shrink is not tried for long', async () => {
  const noise = Buffer.alloc(8 * MIB);
  for (let at = 0, state = 1; at < noise.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    noise.writeUInt32LE((state ^ (state >>> 13)) >>> 0, at);
  }
  const { pool, server } = peer(64 * MIB, noise);
  expect((await read(pool, 0, noise.length)).equals(noise)).toBe(true);
  expect(server.counters.sentBytes).toBeGreaterThan(0.9 * noise.length);
});
