import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { speedOn } from './estimates.ts';
import {
  after,
  builtBy,
  clock,
  grants,
  home,
  job,
  known,
  newHome,
  started,
  steal,
  up,
} from './home-scenario.ts';
import { machine } from './machine-selector.ts';

beforeEach(newHome);

let builds = 0;

/** `peerId` builds something predicted to take 10 s (on a machine of speed 1) in `tookMs`. */
function builds10sIn(peerId: string, tookMs: number, spread = 0.1): void {
  const name = `built-${++builds}`;
  after(...job([known(name, 10_000, [], { spread })], { only: [machine(peerId)] }, name), steal(peerId));
  after(started(name));
  clock.now += tookMs;
  after(builtBy(peerId, name, { timings: { startedMs: 0, finishedMs: tookMs } }));
}

const speedOf = (peerId: string) => speedOn(home, home.workers.get(peerId)!, 'x86_64-linux');

describe('a claimed speed', () => {
  it('is believed until builds say otherwise', () => {
    after(up('a', { speed: 4 }), up('b'));
    expect([speedOf('a'), speedOf('b')]).toEqual([4, 1]);
  });

  it('that is a lie is corrected by what builds take', () => {
    after(up('liar', { speed: 8 }), up('honest'), up('other'));
    for (let i = 0; i < 20; i++) {
      builds10sIn('liar', 10_000);
      builds10sIn('honest', 10_000);
      builds10sIn('other', 10_000);
    }
    // Only the ratio counts: who is right, the two or the one, nobody can tell.
    expect(speedOf('liar') / speedOf('honest')).toBeLessThan(1.5);
    expect(speedOf('honest') / speedOf('other')).toBeCloseTo(1, 1);
  });

  it('that is a lie soon draws no more work', () => {
    after(up('liar', { speed: 8 }), up('honest', { speed: 2 }), up('other'));
    for (let i = 0; i < 20; i++) {
      builds10sIn('liar', 10_000);
      builds10sIn('honest', 5_000);
      builds10sIn('other', 10_000);
    }
    after(steal('liar'), steal('honest'));
    expect(grants(after(...job([known('long', 60_000)])))).toEqual(['long <- honest']);
  });

  it('that is too modest is corrected too', () => {
    after(up('modest', { speed: 0.25 }), up('honest'));
    for (let i = 0; i < 20; i++) {
      builds10sIn('modest', 10_000);
      builds10sIn('honest', 10_000);
    }
    expect(speedOf('modest')).toBeGreaterThan(0.5);
  });

  it('is not doubted because of one build, however long', () => {
    after(up('a'), up('b'));
    for (let i = 0; i < 10; i++) builds10sIn('b', 10_000);
    builds10sIn('a', 40_000, 1);
    expect(speedOf('a')).toBeGreaterThan(0.9);
  });

  it('is not doubted because predictions are wrong for everybody', () => {
    after(up('a'), up('b'), up('c', { speed: 2 }));
    for (let i = 0; i < 20; i++) {
      builds10sIn('a', 70_000);
      builds10sIn('b', 70_000);
      builds10sIn('c', 35_000);
    }
    expect(speedOf('a')).toBeCloseTo(1, 1);
    expect(speedOf('b')).toBeCloseTo(1, 1);
    expect(speedOf('c')).toBeCloseTo(2, 1);
  });

  it('is not doubted for luck: as far off as such builds are anyway', () => {
    const luck = fc.array(fc.double({ min: -0.3, max: 0.3, noNaN: true }), { minLength: 10, maxLength: 20 });
    fc.assert(
      fc.property(luck, luck, (ofA, ofB) => {
        newHome();
        after(up('a'), up('b'));
        for (const each of ofA) builds10sIn('a', 10_000 * Math.exp(each), 0.3);
        for (const each of ofB) builds10sIn('b', 10_000 * Math.exp(each), 0.3);
        expect(speedOf('a')).toBeGreaterThan(0.7);
        expect(speedOf('a')).toBeLessThan(1.4);
      }),
      { numRuns: 50 },
    );
  });

  it('cannot be talked down or up without limit', () => {
    after(up('a'), up('b'));
    for (let i = 0; i < 60; i++) {
      builds10sIn('a', 3_600_000);
      builds10sIn('b', 10_000);
    }
    expect(speedOf('a')).toBeGreaterThanOrEqual(1 / 64);
    expect(speedOf('b')).toBeLessThanOrEqual(64);
  });

  it('is learned from no build so short that overhead is most of it', () => {
    after(up('a'), up('b'));
    for (let i = 0; i < 30; i++) {
      const name = `short-${i}`;
      after(...job([known(name, 20)], {}, name), steal('a'));
      after(started(name));
      clock.now += 150;
      after(builtBy('a', name, { timings: { startedMs: 0, finishedMs: 150 } }));
      builds10sIn('b', 10_000);
    }
    expect(speedOf('a')).toBe(1);
  });

  it('survives times that make no sense', () => {
    after(up('a'), up('b'));
    const times: [number, number][] = [
      [Number.NaN, Number.NaN],
      [5_000, 1_000],
      [0, Number.POSITIVE_INFINITY],
      [0, 0],
    ];
    for (const [index, [startedMs, finishedMs]] of times.entries()) {
      const name = `odd-${index}`;
      after(...job([known(name, 10_000)], { only: [machine('a')] }, name), steal('a'));
      after(started(name), builtBy('a', name, { timings: { startedMs, finishedMs, cpuMs: Number.NaN } }));
      builds10sIn('b', 10_000);
    }
    expect(Number.isFinite(speedOf('a'))).toBe(true);
    expect(Number.isFinite(home.parallelism.sum)).toBe(true);
  });
});
