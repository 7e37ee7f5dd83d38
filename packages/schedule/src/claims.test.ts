import { beforeEach, describe, expect, it } from 'vitest';
import {
  after,
  built,
  clock,
  type Event,
  grants,
  home,
  job,
  newHome,
  node,
  of,
  steal,
  up,
} from './home-scenario.ts';

beforeEach(newHome);

describe('a derivation that another home claims too', () => {
  const claimed = (from: string, stamp: number, ...drvs: string[]): Event => ({
    type: 'claim-received',
    from,
    stamp,
    drvs,
  });

  it('waits until every home has answered', () => {
    after({ type: 'home-up', from: 'z' }, up('h'), steal('h'));
    const effects = after(...job([node('1')]));
    expect(grants(effects)).toEqual([]);
    const [claim] = of('claim', effects);
    expect(grants(after({ type: 'claim-settled', stamp: claim!.stamp }))).toEqual(['1 <- h']);
  });

  it('is built by each where nobody else could learn its paths from that', () => {
    after({ type: 'home-up', from: 'z' }, up('h'), up('z'), steal('h'), claimed('z', 7, '1'));
    const effects = after(...job([{ ...node('1'), unresolved: true }]));
    expect(of('claim', effects)).toEqual([]);
    expect(grants(effects)).toEqual(['1 <- h']);
  });

  it('is left to the one that claimed it first, and taken from its store', () => {
    after({ type: 'home-up', from: 'z' }, up('h'), up('z'), steal('h'), claimed('z', 7, '1'));
    const [claim] = of('claim', after(...job([node('1'), node('2', ['1'])])));
    expect(grants(after({ type: 'claim-settled', stamp: claim!.stamp }))).toEqual([]);
    const release = { drvPath: '1', stamp: 7, outcome: { type: 'built' as const, holders: ['z'] } };
    const effects = after({ type: 'claim-released', from: 'z', releases: [release] });
    expect(of('derivation-finished', effects)[0]?.outcome).toEqual({ type: 'valid', holders: ['z'] });
    expect(grants(effects)).toEqual(['2 <- h']);
  });

  it('goes to the smaller peer id when the claims crossed with the same stamp', () => {
    for (const [other, mine] of [
      ['a', false],
      ['z', true],
    ] as const) {
      newHome();
      after({ type: 'home-up', from: other }, up('h'), steal('h'));
      const [claim] = of('claim', after(...job([node('1')])));
      after(claimed(other, claim!.stamp, '1'), { type: 'claim-settled', stamp: claim!.stamp });
      expect(home.graph.get('1')?.status).toBe(mine ? 'leased' : 'waiting');
    }
  });

  it('is built to the end here when an older claim turns up late', () => {
    after({ type: 'home-up', from: 'z' }, up('h'), steal('h'));
    clock.now = 100;
    const [claim] = of('claim', after(...job([node('1')])));
    after({ type: 'claim-settled', stamp: claim!.stamp });
    expect(of('cancel', after(claimed('z', 7, '1')))).toEqual([]);
    expect(home.graph.get('1')?.claim.deferredTo).toBe(undefined);
    expect(of('job-finished', after(built('1')))).toMatchObject([{ ok: true }]);
  });

  it('comes back when the owner is gone or gives it up; old messages do not take it away again', () => {
    const gone = { drvPath: '1', stamp: 7, outcome: { type: 'gone' as const } };
    const ends: Event[] = [
      { type: 'home-down', from: 'a' },
      { type: 'claim-released', from: 'a', releases: [gone] },
    ];
    for (const end of ends) {
      newHome();
      after({ type: 'home-up', from: 'a' }, up('h'), claimed('a', 7, '1'));
      const [claim] = of('claim', after(...job([node('1')])));
      after({ type: 'claim-settled', stamp: claim!.stamp });
      expect(home.graph.get('1')?.status).toBe('waiting');
      after(end, claimed('a', 7, '1'));
      expect(home.graph.get('1')?.status).toBe('ready');
    }
  });

  it('is told to be built to a home that claims it just after', () => {
    after(up('h'), steal('h'), ...job([node('1')]));
    after(built('1'), { type: 'home-up', from: 'z' });
    expect(of('release', after(claimed('z', 9, '1')))).toMatchObject([
      { to: 'z', releases: [{ drvPath: '1', outcome: { type: 'built', holders: ['h'] } }] },
    ]);
  });

  it('is claimed towards a home that connects later', () => {
    after(up('h'), ...job([node('1')]));
    expect(of('claim', after({ type: 'home-up', from: 'z' }))).toMatchObject([{ to: 'z', drvs: ['1'] }]);
  });
});
