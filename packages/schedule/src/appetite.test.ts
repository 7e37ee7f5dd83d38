import { beforeEach, describe, expect, it } from 'vitest';
import type { HomeEffect } from './home-protocol.ts';
import { after, built, clock, job, known, leaseOf, newHome, of, steal, up } from './home-scenario.ts';

beforeEach(newHome);

/** `worker hungry|sated weight` for each advertisement, `worker over` for the end of the work. */
const told = (effects: readonly HomeEffect[]) =>
  of('advertise', effects).map(({ peerId, work, hungry, weight }) =>
    work ? `${peerId} ${hungry ? 'hungry' : 'sated'} ${weight}` : `${peerId} over`,
  );

/** Time passes, and the home is woken when it asked to be. */
function wait(ms: number): HomeEffect[] {
  clock.now += ms;
  return after({ type: 'tick' });
}

describe('a worker', () => {
  it('hears of a job at once, and of its end', () => {
    expect(told(after(up('a'), ...job([known('1', 5_000)])))).toEqual(['a sated 1']);
    expect(told(after({ type: 'job-cancelled', job: 'j' }))).toEqual(['a over']);
  });

  it('that withholds its slots is told that something is ready, once that has lasted', () => {
    const effects = after(up('a'), ...job([known('1', 5_000)]));
    expect(of('wake-at', effects)).toEqual([{ type: 'wake-at', at: 50 }]);
    expect(told(wait(49))).toEqual([]);
    expect(told(wait(1))).toEqual(['a hungry 1']);
    expect(told(wait(1_000)), 'told once').toEqual([]);
  });

  it('whose request is parked need not be told: it is answered the moment something suits it', () => {
    after(up('a'), steal('a'), ...job([known('1', 5_000, ['0']), known('0', 5_000)]));
    after(steal('a'));
    expect(told(wait(1_000))).toEqual([]);
  });

  it('is told that nothing is ready any more, once that has lasted', () => {
    after(up('a'), ...job([known('1', 5_000)]));
    wait(50);
    after(steal('a'));
    expect(told(wait(1))).toEqual([]);
    expect(told(wait(498))).toEqual([]);
    expect(told(wait(1))).toEqual(['a sated 1']);
  });

  it('is not told of a moment without work between two builds', () => {
    after(up('a'), ...job([known('1', 5_000), known('2', 4_000, ['1'])]));
    wait(50);
    after(steal('a'));
    expect(leaseOf('1').peerId).toBe('a');
    wait(100);
    after(built('1'));
    expect(told(wait(100))).toEqual([]);
    expect(told(wait(1_000))).toEqual([]);
  });

  it('is not told of work that it cannot build', () => {
    after(up('a'), ...job([{ ...known('1', 5_000), requiredFeatures: ['kvm'] }]));
    expect(told(wait(1_000))).toEqual([]);
  });

  it('is told the sum of the jobs’ priorities, and when it changes while work is ready', () => {
    after(up('a'), ...job([known('1', 5_000)], { priority: 2 }));
    expect(told(wait(50))).toEqual(['a hungry 2']);
    after(...job([known('2', 5_000)], { priority: 3 }, 'k'));
    expect(told(wait(50))).toEqual(['a hungry 5']);
  });

  it('gets advertisements numbered in their order', () => {
    const all = [...after(up('a'), up('b'), ...job([known('1', 5_000)])), ...wait(0), ...wait(60)];
    const numbers = of('advertise', all).map(({ sequence }) => sequence);
    expect(numbers.length).toBeGreaterThan(2);
    expect(numbers).toEqual(numbers.toSorted((x, y) => x - y));
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});
