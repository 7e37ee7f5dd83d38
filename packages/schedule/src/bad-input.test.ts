import { beforeEach, describe, expect, it } from 'vitest';
import {
  after,
  built,
  clock,
  grants,
  home,
  job,
  known,
  leaseOf,
  newHome,
  node,
  of,
  started,
  steal,
  up,
} from './home-scenario.ts';

beforeEach(newHome);

const DAY_MS = 86_400_000;

describe('a clock that jumps a day ahead', () => {
  it('costs nothing where the worker still speaks: its heartbeat comes before the tick', () => {
    after(up('h'), up('a'), ...job([known('1', 10_000)]), steal('a'));
    after(started('1'));
    const { lease, attempt } = leaseOf('1');
    clock.now = DAY_MS;
    after({ type: 'heartbeat', peerId: 'a', leases: [{ lease, attempt }] });
    expect(of('attempt-failed', after({ type: 'tick' }))).toEqual([]);
    expect(of('job-finished', after(built('1')))).toMatchObject([{ ok: true }]);
  });

  it('costs an attempt where the worker does not: the derivation goes on elsewhere, and the job ends well', () => {
    after(up('h'), up('a'), ...job([known('1', 10_000)]), steal('a'));
    after(started('1'));
    const late = built('1');
    clock.now = DAY_MS;
    expect(of('attempt-failed', after({ type: 'tick' }))).toMatchObject([{ drvPath: '1', peerId: 'a' }]);
    expect(of('derivation-finished', after(late)), 'fenced').toEqual([]);
    expect(grants(after(steal('h')))).toEqual(['1 <- h']);
    expect(of('job-finished', after(built('1')))).toMatchObject([{ ok: true }]);
  });

  it('costs nothing for what had not started', () => {
    after(up('h'), up('a'), ...job([known('1', 10_000)]), steal('a'));
    clock.now = DAY_MS;
    expect(of('attempt-failed', after({ type: 'tick' }))).toEqual([]);
    expect(grants(after(steal('h')))).toEqual(['1 <- h']);
  });
});

describe('a clock that goes back', () => {
  it('keeps leases and takes results', () => {
    clock.now = DAY_MS;
    after(up('a'), ...job([known('1', 10_000), known('2', 10_000, ['1'])]), steal('a'));
    after(started('1'));
    clock.now = 0;
    expect(of('attempt-failed', after({ type: 'tick' }))).toEqual([]);
    after(built('1'), steal('a'));
    expect(leaseOf('2').peerId).toBe('a');
    expect(of('job-finished', after(built('2')))).toMatchObject([{ ok: true }]);
    expect(home.racing.slotMs).toBeGreaterThanOrEqual(0);
  });
});

describe('figures that make no sense', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY, -5, 1e300])('speed %d', (speed) => {
    after(up('a', { speed }), steal('a'));
    const [grant] = of('grant', after(...job([known('1', 10_000)])));
    expect(grant?.expectedMs).toBeGreaterThan(0);
    expect(grant?.reason).not.toMatch(/NaN|Infinity/);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -5, 0, 1e300])('a prediction of %d ms', (predictedMs) => {
    after(up('a'), steal('a'));
    const [grant] = of('grant', after(...job([known('1', predictedMs), known('2', 5_000, ['1'])])));
    expect(grant).toMatchObject({ drvPath: '1' });
    expect(Number.isFinite(grant?.expectedMs)).toBe(true);
    expect(home.graph.get('1')?.bLevelMs).toBeGreaterThanOrEqual(5_000);
  });

  it('a machine without cores still builds one at a time', () => {
    after(up('a', { cores: 0, slots: 1 }), steal('a'));
    expect(of('grant', after(...job([known('1', 10_000)])))).toMatchObject([{ cores: 1 }]);
  });
});

describe('a graph', () => {
  it('in a circle fails while the rest of a job that keeps going is built', () => {
    after(up('a'), steal('a'));
    const nodes = [node('1', ['2']), node('2', ['1']), known('apart', 5_000)];
    expect(grants(after(...job(nodes, { keepGoing: true })))).toEqual(['apart <- a']);
    const [end] = of('job-finished', after(built('apart')));
    expect(end?.ok).toBe(false);
    expect([...(end?.failed ?? []), ...(end?.skipped ?? [])].sort()).toEqual(['1', '2']);
  });

  it('of nothing ends at once, however often', () => {
    for (const id of ['x', 'y', 'z'])
      expect(of('job-finished', after(...job([], {}, id)))).toMatchObject([{ job: id, ok: true }]);
  });
});

describe('a choice that no machine suits', () => {
  it('fails what it concerns, with the choice named, once machines had time to connect', () => {
    const only = [{ text: 'cores>=1000', terms: [{ type: 'cores', atLeast: 1_000 } as const] }];
    after(up('h', { cores: 4 }), steal('h'), ...job([known('1', 10_000)], { only }));
    expect(home.leases.size).toBe(0);
    clock.now = 5_000;
    const [impossible] = of('impossible', after({ type: 'tick' }));
    expect(impossible?.message).toMatch(/h .*left out by --on 'cores>=1000': it has 4 cores/);
  });
});
