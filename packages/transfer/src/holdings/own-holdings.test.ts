import { silentLogger } from '@mesh/net';
import { ManualClock } from '@mesh/net/testing';
import { HASH_BYTES } from '@mesh/wire';
import { describe, expect, test } from 'vitest';
import { storePathOf } from '../test-support/memory-store.ts';
import { OwnHoldings } from './own-holdings.ts';
import { hashOfPath } from './path-filter.ts';

const path = (name: string | number) => storePathOf(`path-${name}`);
const paths = (count: number, from = 0) => Array.from({ length: count }, (_, i) => path(from + i));

/** A store whose paths a test sets, read when the test lets it. */
class Bench {
  readonly clock = new ManualClock();
  valid: string[] = [];
  readings = 0;
  failures = 0;
  renewed = 0;
  /** Runs in the middle of a reading. */
  meanwhile: () => void = () => undefined;
  readonly news: number[] = [];
  readonly own = new OwnHoldings({
    clock: this.clock,
    logger: silentLogger,
    store: {
      all: async (begin) => {
        if (this.failures > 0) {
          this.failures -= 1;
          throw new Error('the daemon is down');
        }
        this.readings += 1;
        const valid = [...this.valid];
        const take = begin(valid.length);
        for (const each of valid.slice(0, valid.length / 2)) take(each);
        this.meanwhile();
        await Promise.resolve();
        for (const each of valid.slice(valid.length / 2)) take(each);
      },
    },
    onAdded: (hashes) => this.news.push(hashes.length / HASH_BYTES),
    onRenewed: () => {
      this.renewed += 1;
    },
  });

  async pass(ms: number): Promise<void> {
    this.clock.pass(ms);
    await new Promise((resolve) => setImmediate(resolve));
  }

  async started(valid: string[]): Promise<this> {
    this.valid = valid;
    this.own.start();
    await this.pass(0);
    return this;
  }

  has(which: string): boolean {
    return this.own.current?.filter.has(hashOfPath(which)) ?? false;
  }
}

describe('the summary of the own store', () => {
  test('has all valid paths, once they were read', async () => {
    const bench = new Bench();
    expect(bench.own.current).toBeUndefined();
    await bench.started(paths(3_000));
    expect(paths(3_000).every((each) => bench.has(each))).toBe(true);
    expect(bench.own.current?.paths).toBe(3_000);
    expect(bench.renewed).toBe(1);
  });

  test('what becomes valid before or while the store is read is in it', async () => {
    const bench = new Bench();
    bench.own.add([path('before')]);
    bench.meanwhile = () => bench.own.add([path('meanwhile')]);
    await bench.started(paths(10));
    expect(bench.has(path('before'))).toBe(true);
    expect(bench.has(path('meanwhile'))).toBe(true);
  });

  test('new paths are told at once, then together after a tenth of a second; known ones never again', async () => {
    const bench = await new Bench().started(paths(10));
    bench.own.add([path('a')]);
    await bench.pass(0);
    expect(bench.news).toEqual([1]);
    bench.own.add([path('b'), path('a')]);
    await bench.pass(50);
    bench.own.add([path('c')]);
    expect(bench.news).toEqual([1]);
    await bench.pass(50);
    expect(bench.news).toEqual([1, 2]);
    await bench.pass(60_000);
    expect(bench.news).toEqual([1, 2]);
  });

  test('nothing is read again while nothing changes', async () => {
    const bench = await new Bench().started(paths(10));
    await bench.pass(24 * 3_600_000);
    expect(bench.readings).toBe(1);
  });

  test('where something changed all is read again after ten minutes; what was missed is told, and the summary stays', async () => {
    const bench = await new Bench().started(paths(10));
    bench.valid = paths(12);
    bench.own.touched();
    await bench.pass(9 * 60_000);
    expect(bench.readings).toBe(1);
    await bench.pass(60_000);
    await bench.pass(100);
    expect([bench.readings, bench.renewed]).toEqual([2, 1]);
    expect(bench.news).toEqual([2]);
    await bench.pass(24 * 3_600_000);
    expect(bench.readings).toBe(2);
  });

  test('more paths than it has room for: a larger one, of a later epoch', async () => {
    const bench = await new Bench().started(paths(10));
    const { epoch, filter } = bench.own.current!;
    bench.valid = paths(2_000);
    bench.own.add(bench.valid);
    await bench.pass(10_000);
    expect(bench.renewed).toBe(2);
    expect(bench.own.current!.epoch).toBeGreaterThan(epoch);
    expect(bench.own.current!.filter.bits).toBeGreaterThan(filter.bits);
    expect(bench.valid.every((each) => bench.has(each))).toBe(true);
  });

  test('many paths collected: made anew without them, ten minutes after the last time at the soonest', async () => {
    const bench = await new Bench().started(paths(5_000));
    bench.valid = paths(2_000);
    bench.own.lost(3_000);
    await bench.pass(9 * 60_000);
    expect(bench.renewed).toBe(1);
    await bench.pass(60_000);
    expect(bench.renewed).toBe(2);
    expect(bench.own.current?.paths).toBe(2_000);
    expect(paths(1_000, 3_000).filter((each) => bench.has(each)).length).toBeLessThan(20);
  });

  test('a daemon that does not answer is asked again, at growing intervals', async () => {
    const bench = new Bench();
    bench.failures = 3;
    await bench.started(paths(10));
    await bench.pass(1_000);
    await bench.pass(1_999);
    expect(bench.own.current).toBeUndefined();
    await bench.pass(1);
    await bench.pass(4_000);
    expect(bench.own.current?.paths).toBe(10);
  });
});
