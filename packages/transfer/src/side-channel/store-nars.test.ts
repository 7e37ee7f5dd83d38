import * as fs from 'node:fs';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NarLayout, NarParser } from '@mesh/nix';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ROOTED_NAR_BYTES } from '../roots/constants.ts';
import { storePathOf } from '../test-support/memory-store.ts';
import { StoreNars } from './store-nars.ts';

const PATH = storePathOf('thing');
const narHash = new Uint8Array(32);
const never = new AbortController().signal;

let files: string;
let narSize: number;
let valid: boolean;
let streamed: number;

beforeEach(async () => {
  files = join(mkdtempSync(join(tmpdir(), 'mesh-store-nars-')), 'thing');
  mkdirSync(join(files, 'lib'), { recursive: true });
  writeFileSync(join(files, 'large'), Buffer.alloc(3_000_000, 'x'));
  for (let index = 0; index < 500; index += 1) writeFileSync(join(files, 'lib', `${index}`), `file ${index}`);
  narSize = (await NarLayout.of(files, { files: fs, pause: async () => undefined })).narBytes;
  valid = true;
  streamed = 0;
});
afterEach(() => rmSync(files, { recursive: true, force: true }));

function nars(): StoreNars {
  return new StoreNars({
    root: async () => valid,
    validPaths: async (paths) => new Set(valid ? paths : []),
    pathInfo: async () => (valid ? { narSize, narHash } : undefined),
    async *openNar() {
      streamed += 1;
      // By way of the daemon, pieces are of any size.
      for (let left = narSize; left > 0; left -= 32_000) yield Buffer.alloc(Math.min(left, 32_000), 'd');
    },
    fileOf: (path) => (path === PATH ? files : path),
  });
}

async function read(shelf: StoreNars, offset: number, bytes: number): Promise<Buffer> {
  const reader = (await shelf.open(PATH))!;
  const parts: Buffer[] = [];
  for await (const view of reader.read(offset, bytes, never)) parts.push(Buffer.from(view));
  reader.close();
  return Buffer.concat(parts);
}

const openFiles = () => readdirSync('/dev/fd').length;

describe('NARs out of the files of the store', () => {
  test('are the NAR, whole or in ranges, without the daemon', async () => {
    const shelf = nars();
    const whole = await read(shelf, 0, narSize);
    const parser = new NarParser();
    expect(parser.push(whole)).toBe(narSize);
    expect(parser.done).toBe(true);
    for (const [offset, bytes] of [
      [0, 100],
      [1_234_567, 900_000],
      [narSize - 40_000, 40_000],
    ] as const) {
      expect((await read(shelf, offset, bytes)).equals(whole.subarray(offset, offset + bytes))).toBe(true);
    }
    expect(streamed).toBe(0);
  });

  test('leave no file open', async () => {
    const shelf = nars();
    await read(shelf, 0, narSize);
    const before = openFiles();
    for (let turn = 0; turn < 10; turn += 1) await read(shelf, 100_000 * turn, 100_000);
    expect(openFiles()).toBe(before);
  });

  test('of a path that is not valid are not there', async () => {
    valid = false;
    expect(await nars().open(PATH)).toBeUndefined();
  });

  test('that take long to read are rooted first, and not there where that comes too late', async () => {
    const rooted: string[] = [];
    const shelf = (narBytes: number) =>
      new StoreNars({
        root: async (path) => {
          rooted.push(path);
          return false;
        },
        validPaths: async (paths) => new Set(paths),
        pathInfo: async () => ({ narSize: narBytes, narHash }),
        openNar: () => {
          throw new Error('the files can be read');
        },
        fileOf: () => files,
      });
    expect(await shelf(ROOTED_NAR_BYTES).open(PATH)).toBeUndefined();
    expect(rooted).toEqual([PATH]);
    expect(await shelf(narSize).open(PATH)).toBeDefined();
    expect(rooted).toEqual([PATH]);
  });

  test('of a path whose files are not what was registered are refused', async () => {
    narSize += 8;
    await expect(nars().open(PATH)).rejects.toMatchObject({ code: 'NIX_CORRUPT_PATH' });
  });

  test('of a file that changes after it was looked at are refused', async () => {
    const shelf = nars();
    await read(shelf, 0, 1_000);
    writeFileSync(join(files, 'large'), 'short');
    await expect(read(shelf, 0, narSize)).rejects.toMatchObject({ code: 'NIX_CORRUPT_PATH' });
  });

  test('several come as one, and none where one of them is not valid', async () => {
    const whole = await read(nars(), 0, narSize);
    const batch = (await nars().openBatch([PATH, PATH]))!;
    const parts: Buffer[] = [];
    for await (const view of batch.read(0, batch.narBytes, never)) parts.push(Buffer.from(view));
    expect(Buffer.concat(parts).equals(Buffer.concat([whole, whole]))).toBe(true);
    batch.close();
    valid = false;
    expect(await nars().openBatch([PATH])).toBeUndefined();
  });

  test('in a batch come by way of the daemon too', async () => {
    rmSync(files, { recursive: true });
    const batch = (await nars().openBatch([PATH, PATH]))!;
    expect(batch.narBytes).toBe(2 * narSize);
    valid = false;
    expect(await nars().openBatch([PATH])).toBeUndefined();
  });

  test('come by way of the daemon where the files are not to be had', async () => {
    rmSync(files, { recursive: true });
    const shelf = nars();
    const reader = (await shelf.open(PATH))!;
    const lengths: number[] = [];
    for (const [offset, bytes] of [
      [100_000, 50_000],
      [150_000, 50_000],
      [0, 10],
    ] as const) {
      let length = 0;
      for await (const view of reader.read(offset, bytes, never)) length += view.length;
      lengths.push(length);
    }
    expect(lengths).toEqual([50_000, 50_000, 10]);
    // Ranges that follow each other are one stream; going back begins anew.
    expect(streamed).toBe(2);
    reader.close();
  });
});
