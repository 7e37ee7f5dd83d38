import { beforeEach, describe, expect, it } from 'vitest';
import {
  after,
  clock,
  type Event,
  grants,
  home,
  job,
  known,
  leaseOf,
  newHome,
  of,
  started,
  steal,
  up,
} from './home-scenario.ts';
import type { ReturnReason } from './types.ts';

beforeEach(newHome);

const GIB = 2 ** 30;
const hungry = (name: string, gib: number) => known(name, 10_000, [], { memoryPeakBytes: gib * GIB });

/** The machine that builds it ran out of memory. */
function outOfMemory(drvPath: string): Event {
  const { lease, attempt, peerId } = leaseOf(drvPath);
  const message = 'The build ran out of memory.';
  return {
    type: 'result',
    peerId,
    lease,
    attempt,
    outcome: { type: 'machine-failure', message, outOfMemory: true },
  };
}

function givenBack(drvPath: string, reason: ReturnReason, detail?: string): Event {
  const { lease, attempt, peerId } = leaseOf(drvPath);
  return { type: 'returned', peerId, lease, attempt, reason, detail };
}

describe('remembered memory', () => {
  it('is asked for in the lease', () => {
    const [grant] = of('grant', after(up('a'), steal('a'), ...job([hungry('1', 3)])));
    expect(grant?.memoryBytes).toBe(3 * GIB);
  });

  it('keeps a build from a busy machine with less of it free', () => {
    after(up('a', { slots: 2, freeMemoryBytes: 2 * GIB }), steal('a'), ...job([hungry('1', 1)]));
    after(started('1'), steal('a'));
    expect(grants(after(...job([hungry('2', 3)], {}, 'k')))).toEqual([]);
    expect(grants(after(up('b', { freeMemoryBytes: 4 * GIB }), steal('b')))).toEqual(['2 <- b']);
  });

  it('lets it go there as soon as there is enough', () => {
    after(up('a', { slots: 2, freeMemoryBytes: 2 * GIB }), steal('a'), ...job([hungry('1', 1)]));
    after(started('1'), steal('a'), ...job([hungry('2', 3)], {}, 'k'));
    expect(grants(after(up('a', { slots: 2, freeMemoryBytes: 5 * GIB })))).toEqual(['2 <- a']);
  });

  it('does not keep it from a machine that builds nothing: it may always try', () => {
    const small = up('a', { slots: 2, freeMemoryBytes: 2 * GIB });
    expect(grants(after(small, steal('a'), ...job([hungry('1', 3)])))).toEqual(['1 <- a']);
  });

  it('lets others that need less go before it', () => {
    after(up('a', { slots: 3, freeMemoryBytes: 2 * GIB }), steal('a'), ...job([hungry('1', 1)]));
    after(started('1'), steal('a'));
    const nodes = [hungry('big', 3), known('small', 10_000, [], { memoryPeakBytes: GIB })];
    expect(grants(after(...job(nodes, {}, 'k')))).toEqual(['small <- a']);
  });
});

describe('out of memory', () => {
  it('is the machine’s failure: another one gets the build, to itself', () => {
    after(up('a', { slots: 2 }), steal('a'), ...job([hungry('1', 1)]));
    after(started('1'));
    const effects = after(outOfMemory('1'));
    expect(of('attempt-failed', effects)).toMatchObject([{ peerId: 'a', drvPath: '1' }]);
    after(up('b', { slots: 2, cores: 2 }), steal('b'), steal('b'));
    expect(leaseOf('1')).toMatchObject({ peerId: 'b', cores: 2 });
    expect(grants(after(...job([known('beside', 10_000)], {}, 'k')))).toEqual([]);
  });

  it('waits until another machine is empty, and has its slots kept', () => {
    after(up('b', { slots: 2 }), steal('b'), ...job([known('other', 20_000)], {}, 'k'));
    after(started('other'), up('a', { slots: 2, speed: 1.1 }), ...job([hungry('1', 1)]), steal('a'));
    after(started('1'));
    expect(leaseOf('1').peerId).toBe('a');
    expect(grants(after(outOfMemory('1'), steal('b')))).toEqual([]);
    expect(grants(after(...job([known('new', 5_000)], {}, 'l')))).toEqual([]);
    const { lease, attempt } = leaseOf('other');
    const outcome = { type: 'built', outputs: [] } as const;
    const effects = after({ type: 'result', peerId: 'b', lease, attempt, outcome }, steal('b'));
    expect(grants(effects)).toEqual(['1 <- b']);
  });

  it('is tried again alone on the only machine there is', () => {
    after(up('a', { slots: 2, cores: 2 }), steal('a'), steal('a'));
    after(...job([hungry('1', 1), known('beside', 9_000)]));
    after(started('1'), started('beside'));
    expect(grants(after(outOfMemory('1'), steal('a')))).toEqual([]);
    const { lease, attempt } = leaseOf('beside');
    const outcome = { type: 'built', outputs: [] } as const;
    const effects = after({ type: 'result', peerId: 'a', lease, attempt, outcome });
    expect(grants(effects)).toEqual(['1 <- a']);
    expect(leaseOf('1').cores).toBe(2);
  });

  it('fails the job in the end, naming what the machine said', () => {
    after(up('a'), ...job([hungry('1', 1)]));
    let end: ReturnType<typeof after> = [];
    for (let i = 0; i < 3; i++) {
      after(steal('a'));
      end = after(outOfMemory('1'));
    }
    expect(of('derivation-finished', end)[0]?.outcome).toMatchObject({
      type: 'failed',
      kind: 'machines',
      message: expect.stringContaining('ran out of memory'),
    });
  });

  it('is remembered: a later job gives the build a machine to itself at once', () => {
    after(up('a', { slots: 2, cores: 2 }), steal('a'), steal('a'));
    const remembered = known('1', 10_000, [], { ranOutOfMemory: true });
    expect(grants(after(...job([remembered, known('2', 9_000)])))).toEqual(['1 <- a']);
  });
});

describe('a worker that gives a lease back for want of room', () => {
  it('is not asked again at once, where it said what it lacks', () => {
    after(up('a'), up('b', { speed: 0.9 }), steal('a'), ...job([hungry('1', 1)]));
    expect(grants(after(givenBack('1', 'busy', 'not enough memory'), steal('a')))).toEqual([]);
    expect(grants(after(steal('b')))).toEqual(['1 <- b']);
  });

  it('is asked again after a moment', () => {
    after(up('a'), steal('a'), ...job([hungry('1', 1)]));
    const effects = after(givenBack('1', 'busy', 'not enough memory'), steal('a'));
    expect(grants(effects)).toEqual([]);
    const [wake] = of('wake-at', effects);
    clock.now = wake!.at;
    expect(grants(after({ type: 'tick' }))).toEqual(['1 <- a']);
  });

  it('costs the derivation no attempt', () => {
    after(up('a'), ...job([hungry('1', 1)]));
    for (let i = 0; i < 10; i++) {
      clock.now += 1_000;
      after(steal('a'));
      expect(of('attempt-failed', after(givenBack('1', 'busy', 'no disk left')))).toEqual([]);
    }
    expect(home.graph.get('1')?.failures).toBe(0);
  });

  it('gets something else meanwhile', () => {
    after(up('a'), steal('a'), ...job([hungry('1', 8), known('2', 5_000)]));
    expect(leaseOf('1').peerId).toBe('a');
    expect(grants(after(givenBack('1', 'busy', 'not enough memory'), steal('a')))).toEqual(['2 <- a']);
  });

  it('is asked again at once where it only had no slot', () => {
    after(up('a'), steal('a'), ...job([hungry('1', 1)]));
    expect(grants(after(givenBack('1', 'busy'), steal('a')))).toEqual(['1 <- a']);
  });
});
