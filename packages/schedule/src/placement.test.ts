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
import { machine } from './machine-selector.ts';
import type { BuiltOutput } from './types.ts';

beforeEach(newHome);

/** A derivation of 5 s runs on `a`, 4 s of it are over. */
function busyUntil5s(speedOfHome: number): void {
  after(up('h', { speed: speedOfHome }), up('a', { speed: 1 }), steal('a'));
  after(...job([known('running', 5_000)], {}, 'other'));
  after(started('running'));
  clock.now = 4_000;
}

describe('where a derivation goes', () => {
  it('is where it ends soonest: the fast machine before the home', () => {
    after(up('h'), up('a', { speed: 2 }), steal('h'), steal('a'));
    expect(grants(after(...job([known('1', 10_000)])))).toEqual(['1 <- a']);
  });

  it('is where it ends soonest: the fast home before others', () => {
    after(up('h', { speed: 2 }), up('a'), steal('h'), steal('a'));
    expect(grants(after(...job([known('1', 10_000)])))).toEqual(['1 <- h']);
  });

  it('is a slow machine’s free slot where waiting for the fast one ends later', () => {
    busyUntil5s(0.5);
    expect(grants(after(steal('h'), ...job([known('short', 600)])))).toEqual(['short <- h']);
  });

  it('is the faster machine’s busy slot where waiting for it ends sooner', () => {
    busyUntil5s(0.25);
    expect(grants(after(steal('h'), ...job([known('long', 10_000)])))).toEqual([]);
    clock.now = 5_000;
    after(built('running'));
    expect(grants(after(steal('a')))).toEqual(['long <- a']);
  });

  it('says what it was weighed against when it goes to a slot', () => {
    busyUntil5s(0.5);
    const [grant] = of('grant', after(steal('h'), ...job([known('short', 600)])));
    expect(grant?.reason).toMatch(/^Ends on h in 1\.2 s.*predicted 0\.6 s from 20 builds of this name/);
    expect(grant).toMatchObject({ race: false, ahead: false, expectedMs: 1_200 });
  });

  it('leaves the fast slot to the longest path: what has time goes to the slow one', () => {
    const nodes = [known('base', 20_000), known('end', 20_000, ['base']), known('side', 5_000)];
    after(up('h', { speed: 0.5 }), up('a', { speed: 2 }), steal('h'), steal('a'));
    expect(grants(after(...job(nodes)))).toEqual(['base <- a', 'side <- h']);
  });

  it('is a slow machine while there is more work than the fast ones can do, and not its last', () => {
    const many = Array.from({ length: 20 }, (_, i) => known(`${i}`, 10_000));
    after(up('h', { speed: 0.5 }), up('a', { speed: 2 }), steal('h'), steal('a'));
    expect(grants(after(...job(many))).sort()).toEqual(['0 <- a', '1 <- h']);
    clock.now = 5_000;
    expect(of('grant', after(built('0'), steal('a')))).toHaveLength(1);
  });
});

describe('a preferred machine', () => {
  const preferring = { prefer: [machine('a')] };

  it('gets what would end there a little later', () => {
    after(up('h'), up('a', { speed: 0.9 }), steal('h'), steal('a'));
    expect(grants(after(...job([known('1', 10_000)], preferring)))).toEqual(['1 <- a']);
  });

  it('does not get what would end there much later', () => {
    after(up('h'), up('a', { speed: 0.5 }), steal('h'), steal('a'));
    expect(grants(after(...job([known('1', 10_000)], preferring)))).toEqual(['1 <- h']);
  });

  it('is only preferred: without it the work goes on', () => {
    after(up('h'), steal('h'));
    expect(grants(after(...job([known('1', 10_000)], preferring)))).toEqual(['1 <- h']);
  });
});

/** The home and `a`; `a` has built `input`, of this size, and both wait for more. */
function inputAtA(narBytes: number, linkBytesPerMs?: number, then = known('next', 2_000, ['input'])): void {
  after(up('a', { linkBytesPerMs }), up('h', { linkBytesPerMs }));
  after(steal('a'), ...job([known('input', 5_000), then]));
  const { lease, attempt } = leaseOf('input');
  const outputs: BuiltOutput[] = [{ name: 'out', path: 'input-out', narBytes }];
  after({ type: 'result', peerId: 'a', lease, attempt, outcome: { type: 'built', outputs } });
  expect(home.graph.get('next')?.status).toBe('ready');
}

describe('inputs', () => {
  it('draw a derivation to the machine that has them', () => {
    inputAtA(500_000_000);
    // The home's slot asks first, and waits for the busy instant of the holder to pass.
    expect(grants(after(steal('h'), steal('a')))).toEqual(['next <- a']);
  });

  it('do not hold it back for long: a fast link brings them to a free slot', () => {
    inputAtA(1_000_000);
    after(...job([known('other', 60_000)], {}, 'k'), steal('a'));
    expect(grants(after(steal('h')))).toEqual(['next <- h']);
  });

  it('hold it where they are when the measured link is slow', () => {
    // 50 s on the wire against 10 s of waiting.
    inputAtA(50_000_000, 1_000);
    after(...job([known('other', 10_000)], { not: [machine('h')], priority: 9 }, 'k'));
    after(steal('a'));
    after(started('other'));
    expect(leaseOf('other').peerId).toBe('a');
    expect(grants(after(steal('h')))).toEqual([]);
  });
});

describe('crumbs', () => {
  const crumb = known('next', 100, ['input']);

  it('wait for the machine that has their inputs rather than have them carried', () => {
    inputAtA(1_000, undefined, crumb);
    expect(grants(after(steal('h')))).toEqual([]);
    expect(grants(after(steal('a')))).toEqual(['next <- a']);
  });

  it('without inputs of the job stay at home while it is about to have a slot', () => {
    after(up('h'), up('a'), steal('h'), ...job([known('before', 100)], {}, 'k'));
    after(started('before'));
    clock.now = 90;
    expect(grants(after(steal('a'), ...job([known('crumb', 50)])))).toEqual([]);
    after(built('before'));
    expect(grants(after(steal('h')))).toEqual(['crumb <- h']);
  });

  it('are those that are known to be short: what was never seen may turn out long', () => {
    after(up('h'), up('a'), steal('h'), ...job([known('before', 100)], {}, 'k'));
    after(started('before'));
    clock.now = 90;
    const unseen = node('unseen', [], { predictedMs: 50 });
    const effects = after(steal('a'), ...job([unseen]));
    expect(of('grant', effects).length + Number(home.graph.get('unseen')?.status === 'ready')).toBe(1);
  });
});
