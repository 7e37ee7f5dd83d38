import { mkdir, mkdtemp, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@mesh/net';
import { ManualClock } from '@mesh/net/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PathSize } from './kept-closures.ts';
import { type KeepConfig, keepLimits } from './kept-limits.ts';
import { type KeeperDaemon, KeptResults } from './kept-results.ts';

const HOUR_MS = 3_600_000;
const pathOf = (name: string): string => `/nix/store/${'0'.repeat(32)}-${name}`;

let stateDir: string;
let dir: string;
let clock: ManualClock;
/** What is valid in the store, and its links that Nix was told of. */
let store: Map<string, PathSize>;
let registered: Set<string>;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'kept-'));
  dir = join(stateDir, 'kept');
  clock = new ManualClock();
  store = new Map();
  registered = new Set();
});
afterEach(() => rm(stateDir, { recursive: true }));

const daemon: KeeperDaemon = {
  queryPathInfos: async (paths) =>
    new Map([...paths].flatMap((path) => (store.has(path) ? [[path, store.get(path)!]] : []))),
  addIndirectRoot: async (link) => {
    registered.add(link);
  },
};

function keeper(config: KeepConfig = {}): KeptResults {
  return new KeptResults(
    { dir, limits: keepLimits(config) },
    { clock, logger: silentLogger, withDaemon: (work) => work(daemon) },
  );
}

function built(name: string, narSize: number, references: readonly string[] = []): string {
  const path = pathOf(name);
  store.set(path, { narSize, references });
  return path;
}

const links = async (): Promise<string[]> => (await readdir(dir)).toSorted();

describe('results for others', () => {
  test('are kept by links that Nix knows as roots', async () => {
    const kept = keeper();
    const path = built('app', 100, [built('lib', 50)]);
    await kept.keep([path]);
    expect(await readlink(join(dir, path.slice(11)))).toBe(path);
    expect([...registered]).toEqual([join(dir, path.slice(11))]);
    expect(kept.summary()).toMatchObject({ count: 1, bytes: 150 });
  });

  test('go, least recently used first, when they take more than they may', async () => {
    const kept = keeper({ maxBytes: 250 });
    const [a, b, c] = ['a', 'b', 'c'].map((name) => built(name, 100)) as [string, string, string];
    for (const path of [a, b]) {
      await kept.keep([path]);
      clock.pass(HOUR_MS);
    }
    kept.used([a, pathOf('unknown')]);
    await kept.keep([c]);
    expect(await links()).toEqual([a, c].map((path) => path.slice(11)));
    expect(kept.summary()).toMatchObject({ count: 2, bytes: 200 });
  });

  test('that alone are too large are not kept, and push nothing out', async () => {
    const kept = keeper({ maxBytes: '1K' });
    const small = built('small', 100);
    await kept.keep([small]);
    await kept.keep([built('huge', 2_000), built('refers-to-huge', 1, [pathOf('huge')])]);
    expect(await links()).toEqual([small.slice(11)]);
  });

  test('go when nobody used them for too long, without anybody asking', async () => {
    const kept = keeper({ maxAgeHours: 2 });
    const [old, used] = [built('old', 1), built('used', 1)];
    await kept.keep([old, used]);
    clock.pass(1.5 * HOUR_MS);
    kept.used([used]);
    clock.pass(HOUR_MS);
    await kept.stop();
    expect(await links()).toEqual([used.slice(11)]);
  });

  test('are not kept at all where the owner says so', async () => {
    for (const config of [{ maxBytes: 0 }, { maxAgeHours: 0 }]) {
      const kept = keeper(config);
      await kept.keep([built('app', 1)]);
      await kept.load();
      expect(await links()).toEqual([]);
    }
  });
});

describe('after a restart', () => {
  test('they are kept as before, as old as they were, and Nix is told again', async () => {
    const [a, b] = [built('a', 1), built('b', 2)];
    const before = keeper();
    await before.keep([a]);
    clock.pass(HOUR_MS);
    await before.keep([b]);
    await before.stop();
    registered.clear();
    const after = keeper({ maxAgeHours: 2 });
    await after.load();
    expect(after.summary()).toMatchObject({ count: 2, bytes: 3 });
    expect(registered.size).toBe(2);
    clock.pass(1.1 * HOUR_MS);
    await after.stop();
    expect(await links()).toEqual([b.slice(11)]);
  });

  test('what is not valid any more is forgotten', async () => {
    const path = built('a', 1);
    await keeper().keep([path]);
    store.delete(path);
    const after = keeper();
    await after.load();
    expect(after.summary().count).toBe(0);
    expect(await links()).toEqual([]);
  });

  test('what is none of ours in the folder is left alone', async () => {
    const path = built('a', 1);
    await mkdir(dir);
    await writeFile(join(dir, path.slice(11)), 'a file');
    await writeFile(join(dir, 'README'), 'hello');
    await mkdir(join(dir, pathOf('folder').slice(11)));
    await symlink('/etc/passwd', join(dir, pathOf('elsewhere').slice(11)));
    const before = await links();
    const kept = keeper({ maxBytes: 0 });
    await kept.load();
    expect(await links()).toEqual(before);
    expect(kept.summary().count).toBe(0);
  });

  test('tighter limits take effect at once', async () => {
    await keeper().keep([built('a', 100), built('b', 100)]);
    const after = keeper({ maxBytes: 150 });
    await after.load();
    expect(after.summary()).toMatchObject({ count: 1, bytes: 100 });
    expect(await links()).toHaveLength(1);
  });
});

test.each([
  [undefined, 10 * 1024 ** 3],
  [0, 0],
  [1_000, 1_000],
  ['512', 512],
  ['1.5K', 1_536],
  ['20G', 20 * 1024 ** 3],
])('a size of %s is %i bytes', (maxBytes, bytes) => {
  expect(keepLimits(maxBytes === undefined ? {} : { maxBytes }).maxBytes).toBe(bytes);
});
