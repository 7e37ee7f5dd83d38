import { beforeEach, describe, expect, it } from 'vitest';
import type { HomeEffect } from './home-protocol.ts';
import { after, clock, job, known, newHome, of, started, steal, up } from './home-scenario.ts';
import { outlook } from './race-outlook.ts';

describe('what is left of a build that has run longer than predicted', () => {
  const spreads = [0.02, 0.1, 0.3];

  it.each(spreads)(
    'is what its machine has trouble with, once builds of its name never take that long (%d)',
    (spread) => {
      for (const factor of [4, 10, 100, 1_000]) {
        const { troubled, leftMs } = outlook(factor * 3_000, 3_000, spread);
        expect(troubled).toBeGreaterThan(0.99);
        expect(leftMs, 'more than to build it again').toBeGreaterThan(6_000);
      }
    },
  );

  it.each(spreads)('is what was predicted as long as nothing speaks for trouble (%d)', (spread) => {
    expect(outlook(1_000, 3_000, spread).troubled).toBeLessThan(0.05);
    expect(outlook(0, 3_000, spread).leftIfLongMs).toBe(3_000);
  });

  it('is the build itself where builds of its name differ much anyway', () => {
    expect(outlook(9_000, 3_000, 1).troubled).toBeLessThan(0.2);
  });
});

describe('a build that hangs on one machine', () => {
  beforeEach(newHome);

  it('is raced by one that has nothing else to do, before it has taken four times as long', () => {
    after(up('a'), up('b'), ...job([known('1', 3_000)]));
    after(steal('a'));
    after(started('1'));
    after(steal('b'));
    const grants: HomeEffect[] = [];
    for (clock.now = 1_000; clock.now <= 30_000 && grants.length === 0; clock.now += 1_000)
      grants.push(...of('grant', after({ type: 'tick' })));
    expect(grants).toMatchObject([{ drvPath: '1', peerId: 'b', race: true }]);
    expect(clock.now).toBeLessThan(12_000);
  });
});
