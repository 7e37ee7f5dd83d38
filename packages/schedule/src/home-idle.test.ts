import { describe, expect, test } from 'vitest';
import type { FinishedDerivation } from './finished-run.ts';
import { homeIdle } from './home-idle.ts';
import { builtOn, fleetOf, machineOf } from './test-runs.ts';

const MACHINES = fleetOf(machineOf('home'), machineOf('h2', { slots: 4 }));

function idle(
  derivations: readonly FinishedDerivation[],
  freeSlots: readonly (readonly [number, number])[],
  machines = MACHINES,
) {
  const series = freeSlots.map(([atMs, free]) => ({ atMs, free }));
  return homeIdle({ wallMs: 20_000, derivations, machines, freeSlots: series });
}

describe('the home is said to have idled', () => {
  test('where a derivation waited for another machine while a slot here was free', () => {
    const waited = builtOn('h2', 'a', [2_000, 3_000], { leasedMs: 10 });
    expect(idle([waited], [[0, 1]])).toEqual({ count: 1, ms: 3_000, derivations: ['a'] });
  });

  test('where it was built at once elsewhere, but slower than it would have been here', () => {
    const fast = fleetOf(machineOf('home', { speed: 3 }), machineOf('h2'));
    const remoteFirst = builtOn('h2', 'a', [0, 3_000]);
    expect(idle([remoteFirst], [[0, 1]], fast).count).toBe(1);
    expect(idle([remoteFirst], [[0, 1]]).count).toBe(0);
  });

  test('not where every slot here was busy, or free for moments between two builds', () => {
    const waited = builtOn('h2', 'a', [2_000, 3_000], { leasedMs: 10 });
    expect(idle([waited], [[0, 0]]).count).toBe(0);
    const moments: [number, number][] = [0, 500, 1_000, 1_500].flatMap((at): [number, number][] => [
      [at, 1],
      [at + 100, 0],
    ]);
    expect(idle([waited], moments).count).toBe(0);
  });

  test('not where bringing the inputs here would have taken longer', () => {
    const source = builtOn('h2', 'source', [0, 1_000], { outputBytes: 110_000 * 30_000 });
    const waited = builtOn('h2', 'a', [2_000, 3_000], { leasedMs: 1_000, dependencies: ['source'] });
    expect(idle([source, waited], [[1_000, 1]]).count).toBe(0);
    expect(idle([{ ...source, outputBytes: 0 }, waited], [[1_000, 1]]).count).toBe(1);
  });

  test('not for what it could not build, nor for what it tried and gave up', () => {
    const waited = builtOn('h2', 'a', [2_000, 3_000], { leasedMs: 10 });
    expect(idle([{ ...waited, system: 'aarch64-linux' }], [[0, 1]]).count).toBe(0);
    const tried = { peerId: 'home', leasedMs: 0, startedMs: 0, endedMs: 5, failed: true };
    expect(idle([{ ...waited, attempts: [tried, ...waited.attempts] }], [[0, 1]]).count).toBe(0);
  });

  test('for as many derivations as its idle slots could have taken, not for all that waited', () => {
    const waited = ['a', 'b', 'c'].map((name) => builtOn('h2', name, [4_000, 5_000], { leasedMs: 0 }));
    expect(
      idle(waited, [
        [0, 1],
        [1_000, 0],
      ]).count,
    ).toBe(1);
    expect(
      idle(waited, [
        [0, 2],
        [1_000, 0],
      ]).count,
    ).toBe(2);
    expect(idle(waited, [[0, 1]]).count).toBe(3);
  });
});
