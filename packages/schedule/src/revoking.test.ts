import { beforeEach, describe, expect, test } from 'vitest';
import type { HomeEffect } from './home-protocol.ts';
import { after, clock, grants, job, known, newHome, of, steal, up } from './home-scenario.ts';
import type { DerivationNode, JobOptions } from './types.ts';

beforeEach(newHome);

/** Answers every request to give something back, at once, with the lease and a new request ahead; till nothing is asked back. */
function settle(effects: readonly HomeEffect[], rounds = 20): HomeEffect[] {
  const all = [...effects];
  let last = of('revoke', effects);
  for (let round = 0; last.length > 0; round++) {
    if (round === rounds)
      throw new Error(`still asked back after ${rounds} rounds: ${grants(all).join(', ')}`);
    clock.now += 1;
    const next = last.flatMap(({ peerId, lease, attempt }) => [
      ...after({ type: 'returned', peerId, lease, attempt, reason: 'revoked' }),
      ...after(steal(peerId, true)),
    ]);
    all.push(...next);
    last = of('revoke', next);
  }
  return all;
}

/** The home with two slots and a request ahead, others with two slots each; all of them wait for work. */
function mesh(nodes: DerivationNode[], options: Partial<JobOptions> = {}): HomeEffect[] {
  after(...['h', 'b', 'c'].map((peerId) => up(peerId, { slots: 2, cores: 2 })));
  for (const peerId of ['h', 'b', 'c']) after(steal(peerId), steal(peerId), steal(peerId, true));
  return settle(after(...job(nodes, options)));
}

describe('what was sent ahead', () => {
  test('is not asked back for a slot that it was not given because it is a crumb', () => {
    const crumbs = Array.from({ length: 12 }, (_, i) => known(`crumb-${i}`, 40));
    const given = grants(mesh(crumbs));
    expect(new Set(given).size, given.join(', ')).toBe(given.length);
  });

  test('is not asked back for a slot that it was not given because its job prefers another machine', () => {
    const builds = Array.from({ length: 12 }, (_, i) => known(`build-${i}`, 4_000));
    const onHome = { text: 'h', terms: [{ type: 'peer', peerId: 'h' } as const] };
    const given = grants(mesh(builds, { prefer: [onHome] }));
    expect(new Set(given).size, given.join(', ')).toBe(given.length);
  });

  test('is not asked back because the machine whose slot it awaits has promised its cores', () => {
    after(up('f', { slots: 1, cores: 2, speed: 4 }), up('b', { slots: 2, cores: 2 }));
    after(steal('b'), steal('b'));
    const builds = ['a', 'b', 'c'].map((name) => known(name, 1_000));
    const onHome = { text: 'h', terms: [{ type: 'peer', peerId: 'h' } as const] };
    const first = after(...job(builds, { not: [onHome] }));
    const given = grants(settle([...first, ...after(steal('f', true)), ...after(steal('f', true))]));
    expect(new Set(given).size, given.join(', ')).toBe(given.length);
  });

  test('is asked back for a slot that becomes free and ends it sooner', () => {
    after(up('h'), up('b'));
    after(steal('h'), steal('h', true), steal('b'));
    const first = after(...job([known('a', 10_000), known('b', 10_000), known('c', 10_000)]));
    expect(grants(first)).toHaveLength(3);
    expect(grants(first)).toContainEqual(expect.stringMatching(/~ h$/));
    after(up('d'));
    const revoked = of('revoke', after(steal('d')));
    expect(revoked.map(({ peerId }) => peerId)).toEqual(['h']);
    expect(grants(settle(revoked)).at(-1)).toMatch(/<- d$/);
  });
});
