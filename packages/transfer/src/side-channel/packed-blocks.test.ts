import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PackedBlocks } from './packed-blocks.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-packed-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const text = (seed: string) =>
  Buffer.from(Array.from({ length: 20_000 }, (_, line) => `${seed} ${line}\n`).join(''));

test('a block comes out as it went in, and is kept for the next who asks', async () => {
  const blocks = new PackedBlocks(directory);
  const raw = text('a');
  const packed = await blocks.pack('aa', 3, raw, 3);
  expect(packed.length).toBeLessThan(raw.length / 2);
  expect(zstdDecompressSync(packed).equals(raw)).toBe(true);
  expect([blocks.has('aa', 3), blocks.has('aa', 4), blocks.has(undefined, 3)]).toEqual([true, false, false]);
  expect(await blocks.pack('aa', 3, raw, 9)).toEqual(packed);
  expect(blocks.keptBytes).toBe(packed.length);
});

test('what was kept before the start is gone, and what does not shrink is not kept', async () => {
  writeFileSync(join(directory, 'old-1'), 'of an agent before');
  const blocks = new PackedBlocks(directory);
  await blocks.pack('aa', 0, text('a'), 1);
  await blocks.pack('bb', 0, Buffer.from([1]), 1);
  await blocks.pack(undefined, 0, text('c'), 1);
  expect(readdirSync(directory)).toEqual(['aa-0']);
});

test('the limit holds: what was used longest ago goes first', async () => {
  const size = (await new PackedBlocks(join(directory, 'x')).pack('x', 0, text('a'), 1)).length;
  const blocks = new PackedBlocks(join(directory, 'y'), 2.5 * size);
  await blocks.pack('aa', 0, text('a'), 1);
  await blocks.pack('bb', 0, text('b'), 1);
  await blocks.pack('aa', 0, text('a'), 1);
  await blocks.pack('cc', 0, text('c'), 1);
  expect(readdirSync(join(directory, 'y')).toSorted()).toEqual(['aa-0', 'cc-0']);
  expect(blocks.keptBytes).toBeLessThanOrEqual(2.5 * size);
});

test('a kept file that is gone or cut is made anew', async () => {
  const blocks = new PackedBlocks(directory);
  const packed = await blocks.pack('aa', 0, text('a'), 1);
  writeFileSync(join(directory, 'aa-0'), 'short');
  expect(await blocks.pack('aa', 0, text('a'), 1)).toEqual(packed);
  rmSync(join(directory, 'aa-0'));
  expect(await blocks.pack('aa', 0, text('a'), 1)).toEqual(packed);
});

test('without a place to keep it, all is packed nevertheless', async () => {
  writeFileSync(join(directory, 'file'), '');
  const blocks = new PackedBlocks(join(directory, 'file', 'below'));
  expect(zstdDecompressSync(await blocks.pack('aa', 0, text('a'), 1)).equals(text('a'))).toBe(true);
  expect(blocks.keptBytes).toBe(0);
});
