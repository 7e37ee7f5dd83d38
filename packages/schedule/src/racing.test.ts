import { beforeEach, describe, expect, it } from 'vitest';
import type { HomeEffect } from './home-protocol.ts';
import {
  after,
  broken,
  builtBy,
  clock,
  grants,
  home,
  job,
  known,
  leasesOf,
  newHome,
  of,
  started,
  steal,
  up,
} from './home-scenario.ts';
import type { BuildHistory, DerivationNode } from './types.ts';

beforeEach(newHome);

const races = (effects: readonly HomeEffect[]) => grants(of('grant', effects).filter(({ race }) => race));

/** `long` runs on `a` since time 0, predicted to take 10 s there with this history; `b` is `speed` times as fast. */
function runningOnA(
  history: Partial<BuildHistory> = {},
  changes: Partial<DerivationNode> = {},
  speed = 4,
): void {
  after(up('a'), steal('a'), ...job([{ ...known('long', 10_000, [], history), ...changes }]));
  after(started('long'));
  after(up('b', { speed }));
}

/** Time passes while `a` says that it is alive. */
function until(now: number): void {
  while (clock.now < now) {
    clock.now = Math.min(now, clock.now + 5_000);
    after({
      type: 'heartbeat',
      peerId: 'a',
      leases: leasesOf('long').filter(({ peerId }) => peerId === 'a'),
    });
  }
}

describe('an idle worker', () => {
  it('races a running build that it would end sooner', () => {
    runningOnA();
    expect(races(after(steal('b')))).toEqual(['long <- b']);
    expect(leasesOf('long').map(({ peerId, attempt }) => `${peerId} ${attempt}`)).toEqual(['a 1', 'b 2']);
  });

  it('says why', () => {
    runningOnA();
    const [grant] = of('grant', after(steal('b')));
    expect(grant?.reason).toMatch(
      /^Races a, where it has run for 0\.0 s of the expected 10\.0 s: b has nothing/,
    );
  });

  it('races what is long overdue, on a machine no faster', () => {
    runningOnA({ spread: 0.1 }, {}, 1);
    expect(races(after(steal('b')))).toEqual([]);
    until(60_000);
    expect(leasesOf('long').map(({ peerId, race }) => [peerId, race])).toEqual([
      ['a', false],
      ['b', true],
    ]);
  });

  it('does not race what is nearly done', () => {
    runningOnA({ spread: 0.02 });
    until(9_000);
    expect(races(after(steal('b')))).toEqual([]);
  });

  it('builds what is ready rather than race', () => {
    runningOnA();
    after(...job([known('ready', 10_000)], {}, 'k'));
    expect(grants(after(steal('b')))).toEqual(['ready <- b']);
  });

  it('does not race what is raced already', () => {
    runningOnA();
    after(steal('b'), up('c', { speed: 16 }));
    expect(races(after(steal('c')))).toEqual([]);
    expect(leasesOf('long')).toHaveLength(2);
  });

  it('does not race what its own machine builds', () => {
    after(up('a', { slots: 2 }), steal('a'), ...job([known('long', 10_000)]));
    after(started('long'), steal('a'));
    until(100_000);
    after(steal('a'));
    expect(leasesOf('long')).toHaveLength(1);
  });

  it('does not race what has not started: it may be asked back instead', () => {
    after(up('a'), steal('a'), ...job([known('long', 10_000)]));
    after(up('b', { speed: 4 }));
    expect(races(after(steal('b')))).toEqual([]);
  });

  it('does not race what the job can wait for', () => {
    const nodes = [known('long', 10_000), known('longer', 600_000)];
    after(up('c', { speed: 0.99 }), up('a'), steal('a'), steal('c'), ...job(nodes));
    after(...nodes.map(({ drvPath }) => started(drvPath)));
    after(up('b', { speed: 4 }));
    expect(races(after(steal('b')))).toEqual(['longer <- b']);
    expect(races(after(steal('b')))).toEqual([]);
  });
});

describe('never raced', () => {
  it.each<[string, Partial<BuildHistory>, Partial<DerivationNode>]>([
    ['fixed-output and preferLocalBuild derivations', {}, { place: 'prefer-home' }],
    ['what only the home’s Nix can build', {}, { place: 'home' }],
    ['what is fetched from a substituter', {}, { place: 'substitute' }],
    ['what gave different outputs before', { neverRace: 'non-deterministic' }, {}],
    ['what no race has ever won', { neverRace: 'never-wins' }, {}],
    ['what needs a machine to itself', { ranOutOfMemory: true }, {}],
  ])('%s', (_, history, changes) => {
    after(up('h'), steal('h'), ...job([{ ...known('long', 10_000, [], history), ...changes }]));
    after(started('long'), up('b', { speed: 4 }));
    expect(races(after(steal('b')))).toEqual([]);
    expect(leasesOf('long')).toHaveLength(1);
  });

  it('what a machine that may not build it has', () => {
    after(up('a', { features: ['kvm'] }), steal('a'));
    after(...job([{ ...known('long', 10_000), requiredFeatures: ['kvm'] }]));
    after(started('long'), up('b', { speed: 4 }));
    expect(races(after(steal('b')))).toEqual([]);
  });
});

describe('the end of a race', () => {
  beforeEach(() => {
    runningOnA();
    after(steal('b'));
    expect(leasesOf('long')).toHaveLength(2);
    clock.now = 3_000;
  });

  it('is the first valid result: the other is cancelled in the same step', () => {
    const loser = leasesOf('long')[0]!;
    const effects = after(builtBy('b', 'long'));
    expect(of('cancel', effects)).toMatchObject([{ peerId: 'a', lease: loser.lease, attempt: 1 }]);
    expect(of('derivation-finished', effects)[0]?.outcome).toMatchObject({ type: 'built', peerId: 'b' });
    expect(of('job-finished', effects)).toMatchObject([{ ok: true }]);
    expect(home.leases.size).toBe(0);
  });

  it('is told with who won and what the loser had spent', () => {
    expect(of('race-finished', after(builtBy('b', 'long')))).toMatchObject([
      { drvPath: 'long', winner: 'b', loser: 'a', raceWon: true, wastedMs: 3_000 },
    ]);
    expect(home.racing).toMatchObject({ won: 1, lost: 0, wastedMs: 3_000 });
  });

  it('may be won by the first runner; what the second had spent is waste', () => {
    const second = leasesOf('long')[1]!;
    after({ type: 'started', peerId: 'b', lease: second.lease, attempt: second.attempt });
    clock.now = 5_000;
    const effects = after(builtBy('a', 'long'));
    expect(of('cancel', effects)).toMatchObject([{ peerId: 'b' }]);
    expect(of('race-finished', effects)).toMatchObject([{ raceWon: false, winner: 'a', wastedMs: 2_000 }]);
    expect(home.racing).toMatchObject({ won: 0, lost: 1, wastedMs: 2_000 });
  });

  it('is a failure of the build as well as a success: it is the build’s own answer', () => {
    const effects = after(broken('long', 'failed'));
    expect(of('cancel', effects)).toMatchObject([{ peerId: 'a' }]);
    expect(of('job-finished', effects)).toMatchObject([{ ok: false, failed: ['long'] }]);
  });

  it('is no failure of a machine: the other runs on', () => {
    const effects = after(broken('long', 'machine-failure'));
    expect(of('attempt-failed', effects)).toMatchObject([{ peerId: 'b' }]);
    expect(of('cancel', effects)).toEqual([]);
    expect(leasesOf('long').map(({ peerId }) => peerId)).toEqual(['a']);
    expect(home.graph.get('long')?.status).toBe('leased');
  });

  it('is no loss of a machine: the other runs on and is the result', () => {
    after({ type: 'worker-down', peerId: 'a' });
    expect(leasesOf('long').map(({ peerId }) => peerId)).toEqual(['b']);
    expect(of('job-finished', after(builtBy('b', 'long')))).toMatchObject([{ ok: true }]);
  });
});

describe('the result of the loser, if it was under way', () => {
  beforeEach(() => {
    // Another job still wants it, so that the winner's hashes are remembered.
    runningOnA();
    after(...job([known('long', 10_000), known('last', 10_000, ['long'])], {}, 'k'));
    after(steal('b'));
    expect(leasesOf('long')).toHaveLength(2);
  });

  it('shows that the outputs differ', () => {
    const late = builtBy('a', 'long', { narHash: 'sha256:aaaa' });
    after(builtBy('b', 'long', { narHash: 'sha256:bbbb' }));
    expect(of('outputs-differ', after(late))).toEqual([
      {
        type: 'outputs-differ',
        drvPath: 'long',
        output: 'long-out',
        first: { peerId: 'b', narHash: 'sha256:bbbb' },
        second: { peerId: 'a', narHash: 'sha256:aaaa' },
      },
    ]);
    expect(of('outputs-differ', after(late)), 'told once').toEqual([]);
  });

  it('says nothing where they are the same', () => {
    const late = builtBy('a', 'long', { narHash: 'sha256:bbbb' });
    after(builtBy('b', 'long', { narHash: 'sha256:bbbb' }));
    expect(after(late).map(({ type }) => type)).not.toContain('outputs-differ');
  });

  it('is believed from the machine that had the lease only', () => {
    const late = builtBy('a', 'long', { narHash: 'sha256:aaaa' });
    after(builtBy('b', 'long', { narHash: 'sha256:bbbb' }));
    expect(of('outputs-differ', after({ ...late, peerId: 'b' } as typeof late))).toEqual([]);
  });
});

describe('what races may cost', () => {
  let builds = 0;

  /** `a` builds something in 9 s that `b` should have built in 2.5 s; whether `b` raced it, in vain. */
  function racedInVain(): boolean {
    const name = `${++builds}`;
    after(up('a'), ...job([known(name, 10_000)], {}, name), steal('a'));
    after(started(name), up('b', { speed: 4 }));
    const raced = races(after(steal('b'))).length > 0;
    for (const { peerId, lease, attempt } of leasesOf(name).slice(1))
      after({ type: 'started', peerId, lease, attempt });
    clock.now += 9_000;
    after(builtBy('a', name), { type: 'worker-down', peerId: 'b' }, { type: 'worker-down', peerId: 'a' });
    return raced;
  }

  it('is a small share of all slot time, after a few that are free', () => {
    const raced = Array.from({ length: 10 }, racedInVain);
    expect(raced).toEqual([true, true, true, ...Array.from({ length: 7 }, () => false)]);
    expect(home.racing).toMatchObject({ won: 0, lost: 3, wastedMs: 27_000 });
  });

  it('grows with the time that all slots have had', () => {
    for (let i = 0; i < 5; i++) racedInVain();
    expect(racedInVain()).toBe(false);
    after(up('c', { slots: 1 }), { type: 'job-added', job: 'open', options: { keepGoing: false } });
    clock.now += 3_600_000;
    after({ type: 'worker-down', peerId: 'c' });
    expect(racedInVain()).toBe(true);
    expect(home.racing.wastedMs).toBeLessThan(0.05 * home.racing.slotMs);
  });

  it('counts slot time only while there is a job', () => {
    after(up('a'), up('b'));
    clock.now = 3_600_000;
    after({ type: 'tick' });
    expect(home.racing.slotMs).toBe(0);
  });
});
