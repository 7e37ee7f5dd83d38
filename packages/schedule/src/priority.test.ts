import { beforeEach, describe, expect, it } from 'vitest';
import { after, built, clock, home, job, known, newHome, of, started, steal, up } from './home-scenario.ts';

beforeEach(newHome);

const MS = 1_000;

const work = (name: string, count: number, ms = MS) =>
  Array.from({ length: count }, (_, i) => known(`${name}${i}`, ms));

/** `slots` slots build one after the other for `rounds` rounds; how many builds each job got. */
function shares(slots: number, rounds: number): Record<string, number> {
  const got: Record<string, number> = {};
  for (let round = 0; round < rounds; round++) {
    const granted = of('grant', after(...Array.from({ length: slots }, () => steal('a'))));
    for (const { job: id } of granted) got[id] = (got[id] ?? 0) + 1;
    after(...granted.map(({ drvPath }) => started(drvPath)));
    clock.now += MS;
    after(...granted.map(({ drvPath }) => built(drvPath)));
  }
  return got;
}

describe('two jobs at one home', () => {
  it('share its slots evenly', () => {
    after(up('a', { slots: 4 }), ...job(work('x', 40), {}, 'x'), ...job(work('y', 40), {}, 'y'));
    expect(shares(4, 5)).toEqual({ x: 10, y: 10 });
  });

  it('share them by their priorities', () => {
    after(up('a', { slots: 6 }), ...job(work('x', 60), {}, 'x'), ...job(work('y', 60), { priority: 2 }, 'y'));
    expect(shares(6, 5)).toEqual({ x: 10, y: 20 });
  });

  it('share them whatever hangs on each derivation: a small job does not wait for a large one', () => {
    after(up('a', { slots: 4 }), ...job(work('large', 60, 600_000), {}, 'large'));
    after(...job(work('small', 8), {}, 'small'));
    expect(shares(4, 4)).toEqual({ large: 8, small: 8 });
  });

  it('leave what one of them cannot use to the other', () => {
    after(up('a', { slots: 4 }), ...job(work('x', 40), { priority: 9 }, 'x'), ...job(work('y', 2), {}, 'y'));
    const got = shares(4, 5);
    expect(got).toEqual({ x: 18, y: 2 });
  });

  it('each get their turn, however large the other’s weight', () => {
    after(
      up('a', { slots: 2 }),
      ...job(work('x', 300), { priority: 100 }, 'x'),
      ...job(work('y', 1), {}, 'y'),
    );
    const got = shares(2, 100);
    expect(got.y).toBe(1);
  });

  it('pay for what both want from the older one’s share', () => {
    after(up('a', { slots: 4 }), ...job(work('x', 40), {}, 'x'));
    after(
      ...job([...work('x', 2), ...work('y', 40)], {}, 'y'),
      steal('a'),
      steal('a'),
      steal('a'),
      steal('a'),
    );
    expect([home.jobs.get('x')?.running, home.jobs.get('y')?.running]).toEqual([2, 2]);
  });

  it('count what they were given down again when it is over', () => {
    after(up('a', { slots: 4 }), ...job(work('x', 4), { keepGoing: true }, 'x'));
    shares(4, 1);
    expect(home.jobs.size).toBe(0);
    after(...job(work('z', 4), {}, 'z'), ...job(work('y', 4), {}, 'y'), steal('a'), steal('a'));
    after({ type: 'job-cancelled', job: 'z' });
    expect(home.jobs.get('y')?.running).toBe(1);
  });
});
