import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Clock, silentLogger, systemClock } from '@mesh/net';
import { ManualClock, until } from '@mesh/net/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { storePathOf } from '../test-support/memory-store.ts';
import { FORGET_NAME_MS, POLL_FIRST_MS } from './constants.ts';
import { StoreWatch } from './store-watch.ts';

let directory: string;
let watched: StoreWatch | undefined;
/** Valid by the daemon's word. */
let valid: Set<string>;
/** What was valid before, by hash part. */
let held: Set<string>;
let found: string[];
let asked: string[][];
let gone: number;
let missed: number;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'store-watch-'));
  [valid, held, found, asked, gone, missed] = [new Set(), new Set(), [], [], 0, 0];
});
afterEach(async () => {
  watched?.stop();
  await rm(directory, { recursive: true, force: true });
});

function watchStore(clock: Clock = systemClock, where = directory): StoreWatch {
  watched = new StoreWatch({
    directory: where,
    clock,
    logger: silentLogger,
    store: {
      among: async (paths) => {
        asked.push([...paths]);
        return new Set(paths.filter((path) => valid.has(path)));
      },
    },
    seemsToHold: (hashPart) => held.has(hashPart),
    onValid: (paths) => found.push(...paths),
    onGone: (paths) => {
      gone += paths;
    },
    onMissed: () => {
      missed += 1;
    },
  });
  watched.start();
  return watched;
}

const file = (path: string) => join(directory, basename(path));
const hashPart = (path: string) => basename(path).slice(0, 32);

describe('watching the store', () => {
  test('a path is found when it becomes valid, some time after its name appeared', async () => {
    const path = storePathOf('built');
    watchStore();
    await mkdir(file(path));
    await until('a first look', () => asked.length > 1);
    expect(found).toEqual([]);
    valid.add(path);
    await until('the path is found', () => found.includes(path));
    const looks = asked.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(found).toEqual([path]);
    expect(asked).toHaveLength(looks);
  });

  test('the end of a lock brings the next look at once, however long the build took', async () => {
    const clock = new ManualClock();
    const path = storePathOf('long');
    await writeFile(file(`${path}.lock`), '');
    await mkdir(file(path));
    watchStore(clock);
    valid.add(path);
    await rm(file(`${path}.lock`));
    await until('the look is due', () => {
      clock.pass(20);
      return found.length > 0;
    });
    expect(found).toEqual([path]);
  });

  test('a name that never becomes valid is not looked after for ever; one that vanishes not at all', async () => {
    const clock = new ManualClock();
    const [stays, vanishes] = [storePathOf('stays'), storePathOf('vanishes')];
    watchStore(clock);
    await mkdir(file(stays));
    await mkdir(file(vanishes));
    await rm(file(vanishes), { recursive: true });
    const pass = async (ms: number) => {
      clock.pass(ms);
      await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await until('it is looked at', () => {
      clock.pass(20);
      return asked.flat().includes(stays) && asked.flat().includes(vanishes);
    });
    for (let ms = 0; ms <= FORGET_NAME_MS + 4_000; ms += 2_000) await pass(2_000);
    const looks = asked.length;
    for (let i = 0; i < 20; i++) await pass(2_000);
    expect(asked).toHaveLength(looks);
    expect(asked.flat().filter((path) => path === vanishes).length).toBeLessThan(3);
  });

  test('what was valid and went is counted, and nobody is asked about it', async () => {
    const path = storePathOf('collected');
    await mkdir(file(path));
    held.add(hashPart(path));
    watchStore();
    await rm(file(path), { recursive: true });
    await until('it is counted', () => gone === 1);
    expect(asked).toEqual([]);
  });

  test('names that are no store paths are nobody’s business', async () => {
    watchStore();
    await mkdir(join(directory, '.links'));
    await mkdir(join(directory, 'trash'));
    const path = storePathOf('after');
    valid.add(path);
    await mkdir(file(path));
    await until('the path is found', () => found.includes(path));
    expect(new Set(asked.flat())).toEqual(new Set([path]));
  });

  test('while a large file is written what comes is found all the same, without a look at every write', async () => {
    const [large, meanwhile] = [storePathOf('large'), storePathOf('meanwhile')];
    watchStore();
    let written = 0;
    const writing = (async () => {
      const handle = await open(file(large), 'w');
      while (!found.includes(large)) {
        for (let part = 0; part < 200; part += 1) await handle.write(Buffer.alloc(1_000, part));
        written += 200;
        if (written === 2_000) {
          valid.add(meanwhile);
          await mkdir(file(meanwhile));
        }
        if (found.includes(meanwhile)) valid.add(large);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await handle.close();
    })();
    await until('both are found', () => found.includes(large));
    await writing;
    expect(new Set(found)).toEqual(new Set([meanwhile, large]));
    expect(asked.length).toBeLessThan(written / 20);
  });

  test('a directory that cannot be watched is looked at now and then', async () => {
    const clock = new ManualClock();
    const later = join(directory, 'later');
    watchStore(clock, later);
    expect(missed).toBe(1);
    await mkdir(later);
    await until('it is seen', () => {
      clock.pass(POLL_FIRST_MS);
      return missed > 1;
    });
  });
});
