import { ManualClock } from '@mesh/net/testing';
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { CollectedStore } from '../test-support/collected-store.ts';
import { MAX_PATHS_PER_CONNECTION, MAX_ROOT_CONNECTIONS, PROMISED_MS } from './constants.ts';
import { rootPlan } from './fetch-roots.ts';
import { TempRoots } from './temp-roots.ts';

let clock: ManualClock;
let store: CollectedStore;
let roots: TempRoots;

beforeEach(() => {
  clock = new ManualClock();
  store = new CollectedStore();
  roots = new TempRoots({ clock, connect: store.connect });
});

test('what was promised stays with all it refers to, and may go some time later', async () => {
  const lib = store.add('lib');
  const app = store.add('app', [lib]);
  store.add('other');
  expect([...(await roots.promise([app, 'never built']))]).toEqual([app]);
  clock.pass(PROMISED_MS);
  store.collect();
  expect(store.valid).toEqual([lib, app]);
  clock.pass(PROMISED_MS);
  expect(store.connections).toBe(0);
  store.collect();
  expect(store.valid).toEqual([]);
});

test('every promise holds for its time, however many are made, on few connections', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: PROMISED_MS }), { maxLength: 30 }), async (waits) => {
      const time = new ManualClock();
      const paths = new CollectedStore();
      const promises = new TempRoots({ clock: time, connect: paths.connect });
      const promisedMs = new Map<string, number>();
      for (const [index, ms] of waits.entries()) {
        const path = paths.add(`p${index}`);
        await promises.promise([path]);
        promisedMs.set(path, time.monotonic());
        time.pass(ms);
        paths.collect();
        for (const [promised, sinceMs] of promisedMs) {
          if (time.monotonic() - sinceMs < PROMISED_MS) expect(paths.valid).toContain(promised);
        }
        expect(paths.connections).toBeLessThanOrEqual(3);
      }
    }),
    { numRuns: 50 },
  );
});

test('what a fetch holds stays for as long as the fetch takes', async () => {
  const base = store.add('base');
  const hold = roots.hold();
  expect([...(await hold.add([base, 'coming']))]).toEqual([base]);
  clock.pass(20 * PROMISED_MS);
  const coming = store.add('coming');
  store.collect();
  expect(store.valid).toEqual([base, coming]);
  hold.release();
  store.collect();
  expect(store.valid).toEqual([]);
  expect(store.connections).toBe(0);
});

test('after nix-daemon was started again a hold has everything rooted anew', async () => {
  const first = store.add('first');
  const hold = roots.hold();
  await hold.add([first]);
  store.restart();
  const second = store.add('second');
  expect([...(await hold.add([second]))]).toEqual([second]);
  store.collect();
  expect(store.valid).toEqual([first, second]);
  expect([...(await roots.promise([first]))]).toEqual([first]);
  expect(store.connections).toBe(1);
});

test('a daemon that cannot be reached is an error of that one question', async () => {
  let down = true;
  const trying = new TempRoots({
    clock,
    connect: async () => {
      if (down) throw new Error('no daemon');
      return store.connect();
    },
  });
  await expect(trying.promise(['a'])).rejects.toThrow('no daemon');
  down = false;
  const path = store.add('a');
  expect([...(await trying.promise([path]))]).toEqual([path]);
});

test('a peer that asks for ever more makes old promises lapse, not connections pile up', async () => {
  const hold = roots.hold();
  const held = store.add('held');
  await hold.add([held]);
  for (let turn = 0; turn < MAX_ROOT_CONNECTIONS + 3; turn += 1) {
    await roots.promise(Array.from({ length: MAX_PATHS_PER_CONNECTION }, (_, index) => `${turn}-${index}`));
  }
  expect(store.connections).toBe(MAX_ROOT_CONNECTIONS);
  store.collect();
  expect(store.valid).toEqual([held]);
});

test('in the end nothing is held', async () => {
  await roots.promise([store.add('a')]);
  await roots.hold().add([store.add('b')]);
  roots.close();
  await Promise.resolve();
  expect(store.connections).toBe(0);
});

test('a plan stands while what it left out is here; where that went, it is made again', async () => {
  const item = (path: string, references: readonly string[]) => ({
    info: { path, references, narHash: new Uint8Array(32), narSize: 1, signatures: [] },
  });
  const base = store.add('base');
  const plan = [item('lib', [base]), item('app', ['lib', base, 'app'])];
  const hold = roots.hold();
  expect(await rootPlan(plan, hold)).toBe(true);
  store.collect();
  expect(store.valid).toEqual([base]);
  expect(await rootPlan([item('tool', ['collected'])], hold)).toBe(false);
});

test('what came of a long import stays while the rest comes', async () => {
  const large = { narSize: 2 ** 30, narHash: new Uint8Array(32), signatures: [], references: [] };
  const hold = roots.hold();
  expect(
    await rootPlan([{ info: { ...large, path: 'first' } }, { info: { ...large, path: 'second' } }], hold),
  ).toBe(true);
  await hold.add(['anything']);
  store.add('first');
  store.collect();
  expect(store.valid).toEqual(['first']);
});
