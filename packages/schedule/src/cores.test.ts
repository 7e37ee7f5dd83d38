import { beforeEach, describe, expect, it } from 'vitest';
import type { HomeEffect } from './home-protocol.ts';
import {
  after,
  builtBy,
  clock,
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

/** `derivation: cores` for each grant. */
const coresIn = (effects: readonly HomeEffect[]) =>
  Object.fromEntries(of('grant', effects).map(({ drvPath, cores }) => [drvPath, cores]));

const machineOf8 = () => up('a', { slots: 8, cores: 8 });
const steals = (count: number) => Array.from({ length: count }, () => steal('a'));
/** Divides nine tenths of its work among as many cores as there are. */
const parallel = { parallelShare: 0.9, busyCores: 5 };

describe('cores of a build', () => {
  it('are one each while more is ready than there are', () => {
    const nodes = Array.from({ length: 12 }, (_, i) => known(`${i}`, 10_000, [], parallel));
    const cores = coresIn(after(machineOf8(), ...steals(8), ...job(nodes)));
    expect(Object.values(cores)).toEqual(Array.from({ length: 8 }, () => 1));
  });

  it('are all of the machine for the only build there is', () => {
    expect(coresIn(after(machineOf8(), ...steals(8), ...job([known('1', 60_000, [], parallel)])))).toEqual({
      '1': 8,
    });
  });

  it('are all of the machine for the only build there is, also for one that nobody knows', () => {
    const unseen = node('1', [], { predictedMs: 60_000 });
    expect(coresIn(after(machineOf8(), ...steals(8), ...job([unseen])))).toEqual({ '1': 8 });
  });

  it('are all of the machine for each link of a chain, whatever other machines are like', () => {
    const links = [known('1', 60_000, [], { busyCores: 0.2 }), known('2', 60_000, ['1'], { busyCores: 0.2 })];
    const slow = ['b', 'c', 'd'].map((name) => up(name, { slots: 8, cores: 8, speed: 0.2 }));
    const only = [{ text: 'a', terms: [{ type: 'peer' as const, peerId: 'a' }] }];
    expect(coresIn(after(machineOf8(), ...slow, ...steals(8), ...job(links, { only })))).toEqual({ '1': 8 });
  });

  it('are all of the machine for the second run of the only build there is', () => {
    after(machineOf8(), ...steals(1), ...job([known('1', 60_000, [], { busyCores: 0.2 })]));
    after(started('1'));
    after(up('b', { slots: 8, cores: 8 }), steal('b'));
    let races: Record<string, number> = {};
    for (clock.now = 60_000; clock.now < 400_000 && !('1' in races); clock.now += 5_000)
      races = coresIn(after({ type: 'tick' }));
    expect(races).toEqual({ '1': 8 });
  });

  it('are shared by the few that are ready', () => {
    const two = ['1', '2'].map((name) => known(name, 60_000, [], parallel));
    const cores = coresIn(after(machineOf8(), ...steals(8), ...job(two)));
    expect(Object.keys(cores)).toHaveLength(2);
    for (const given of Object.values(cores)) expect(given).toBeGreaterThan(1);
    expect(cores['1']! + cores['2']!).toBeLessThanOrEqual(8);
  });

  it('are one for what was seen to use no more, whatever is free', () => {
    const nodes = [
      known('serial', 60_000, [], { parallelShare: 0, busyCores: 1 }),
      known('idle', 50_000, [], { busyCores: 0.2 }),
      known('parallel', 40_000, [], parallel),
    ];
    const cores = coresIn(after(machineOf8(), ...steals(8), ...job(nodes)));
    expect(cores).toMatchObject({ serial: 1, idle: 1 });
    expect(cores.parallel).toBeGreaterThan(1);
  });

  it('are as many as such builds can use on the longest path, while small ones run beside it', () => {
    const nodes = [
      known('giant', 600_000, [], parallel),
      ...['1', '2', '3'].map((name) => known(name, 1_000, [], { parallelShare: 0 })),
    ];
    const cores = coresIn(after(machineOf8(), ...steals(8), ...job(nodes)));
    expect(cores).toMatchObject({ '1': 1, '2': 1, '3': 1 });
    // What the others take the worker keeps for them.
    expect(cores.giant).toBeGreaterThanOrEqual(5);
  });

  it('never are more than other builds leave', () => {
    after(machineOf8(), ...steals(1), ...job([known('1', 60_000, [], parallel)], {}, 'k'));
    expect(leaseOf('1').cores).toBe(8);
    after(started('1'));
    // Its last slot answers while all cores are taken: one is the least a build can be given.
    expect(coresIn(after(...steals(1), ...job([known('2', 60_000, [], parallel)])))).toEqual({ '2': 1 });
  });

  it('count those given to builds that run', () => {
    const serial = Array.from({ length: 3 }, (_, i) => known(`${i}`, 60_000, [], { parallelShare: 0 }));
    after(machineOf8(), ...steals(8), ...job(serial, {}, 'k'));
    const cores = coresIn(after(...job([known('giant', 600_000, [], parallel)])));
    expect(cores.giant).toBeLessThanOrEqual(5);
    expect(cores.giant).toBeGreaterThan(1);
  });

  it('are the whole machine for what once ran one out of memory', () => {
    const hungry = known('hungry', 10_000, [], { ranOutOfMemory: true });
    expect(coresIn(after(machineOf8(), ...steals(8), ...job([hungry])))).toEqual({ hungry: 8 });
  });

  it('of builds nobody knows follow what others of the job turned out to use', () => {
    after(machineOf8());
    // One after the other, all cores to itself, and no more than one of them busy.
    for (const name of ['1', '2', '3', '4']) {
      after(...job([node(name, [], { predictedMs: 60_000 })], {}, name), ...steals(1));
      expect(leaseOf(name).cores).toBe(8);
      clock.now += 60_000;
      after(builtBy('a', name, { timings: { startedMs: 0, finishedMs: 60_000, cpuMs: 60_000 } }));
    }
    const unseen = ['5', '6'].map((name) => node(name, [], { predictedMs: 60_000 }));
    expect(coresIn(after(...steals(8), ...job(unseen)))).toEqual({ '5': 1, '6': 1 });
  });

  it('are decided by all that is ready, also what came in the same instant as other news', () => {
    after(machineOf8(), up('b', { slots: 8, cores: 8 }), ...steals(1));
    after(...job([known('before', 20_000, [], { parallelShare: 0 })], {}, 'k'));
    after(started('before'), steal('b'));
    clock.now = 20;
    const nodes = Array.from({ length: 40 }, (_, i) => known(`${i}`, 600_000, [], parallel));
    after(...steals(7), ...Array.from({ length: 7 }, () => steal('b')));
    const cores = coresIn(after(...job(nodes)));
    expect(Object.values(cores)).toEqual(Array.from({ length: 15 }, () => 1));
  });
});
