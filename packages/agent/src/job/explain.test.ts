import { describe, expect, test } from 'vitest';
import { explain } from '../control/why.ts';
import { drv, jobAtHome, planned } from './job-scenario.ts';

describe('why', () => {
  const unexplained = () => undefined;

  function twoInARow() {
    const home = jobAtHome();
    home.job.planned([planned('a'), planned('b', { dependencies: [drv('a')] })], 0, 0);
    return home;
  }

  test('says what a derivation waits for', () => {
    const { job, lease } = twoInARow();
    job.leases.started(lease('h2', 'a'));
    const [b] = explain([job], 'b', unexplained).derivations;
    expect(b).toMatchObject({
      state: 'waiting',
      sentence: 'It waits for 1 derivation it needs: a.',
      waitsFor: [{ name: 'a', state: 'building' }],
      attempts: [],
    });
  });

  test("gives the scheduler's sentence where it has one", () => {
    const { job } = twoInARow();
    const [a] = explain([job], drv('a'), (drvPath) => `waits: ${drvPath}`).derivations;
    expect(a).toMatchObject({ state: 'ready', sentence: `waits: ${drv('a')}` });
  });

  test('says where it runs, where it ran, and with what reason', () => {
    const { job, lease, at, built } = twoInARow();
    const given = lease('h2', 'a');
    job.leases.started(given);
    at(1_500);
    const running = explain([job], 'a', unexplained).derivations[0];
    expect(running).toMatchObject({
      state: 'building',
      sentence: 'h2 builds it since 1.5 s, expected to take 1.0 s.',
      attempts: [{ peer: 'h2', why: 'because of h2', outcome: null }],
    });
    built(given, 1_400);
    expect(explain([job], `/nix/store/${'1'.repeat(32)}-a`, unexplained).derivations[0]).toMatchObject({
      state: 'built',
      sentence: 'h2 built it in 1.4 s.',
      attempts: [{ outcome: 'won' }],
    });
  });

  test('looks in the newest job first, and prefers a whole name to a part of one', () => {
    const [old, young] = [jobAtHome().job, jobAtHome().job];
    old.planned([planned('zlib-1.3')], 0, 0);
    young.planned([planned('zlib-1.3-dev'), planned('zlib-1.3-doc')], 0, 0);
    const names = (target: string) =>
      explain([young, old], target, unexplained).derivations.map(({ name }) => name);
    expect(names('zlib-1.3')).toEqual(['zlib-1.3']);
    expect(names('zlib')).toEqual(['zlib-1.3-dev', 'zlib-1.3-doc']);
    expect(() => names('nginx')).toThrow(expect.objectContaining({ code: 'WHY_UNKNOWN' }));
  });
});
