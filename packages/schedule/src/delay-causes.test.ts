import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boundMachineOf } from './bound-machines.ts';
import { type DelayCause, delayCauses } from './delay-causes.ts';
import { type FinishedDerivation, workOf } from './finished-run.ts';
import { lowerBoundMs } from './lower-bound.ts';
import { builtOn, fleetOf, machineOf } from './test-runs.ts';

function lossesOf(
  derivations: readonly FinishedDerivation[],
  wallMs: number,
  boundMs: number,
  machines = fleetOf(machineOf('home'), machineOf('h2')),
  plannedMs = 0,
) {
  const { losses, chain } = delayCauses({ wallMs, boundMs, plannedMs, derivations, machines });
  return { chain, losses: Object.fromEntries(losses.map(({ cause, ms }) => [cause, ms])) };
}

describe('what cost the time of a job', () => {
  test('is nothing where builds followed each other at once', () => {
    const run = [
      builtOn('home', 'a', [0, 1_000]),
      builtOn('home', 'b', [1_000, 3_000], { dependencies: ['a'] }),
    ];
    expect(lossesOf(run, 3_000, 3_000)).toEqual({ chain: ['a', 'b'], losses: {} });
  });

  test('is planning before the first, transfer and overhead before a start, and fetching the result at the end', () => {
    const run = [
      builtOn('home', 'a', [500, 1_500], { addedMs: 500 }),
      builtOn('h2', 'b', [2_000, 3_000], { dependencies: ['a'], leasedMs: 1_510, fetchedMs: 1_910 }),
    ];
    expect(lossesOf(run, 3_700, 2_000).losses).toEqual({
      planning: 500,
      overhead: 100,
      transfer: 400,
      result: 700,
    });
  });

  test('is waiting for a slot while all were busy, and being held back while one was free', () => {
    const busy = [builtOn('home', 'x', [0, 2_000]), builtOn('h2', 'y', [0, 2_000])];
    const waited = builtOn('h2', 'z', [2_000, 5_000]);
    expect(lossesOf([...busy, waited], 5_000, 3_500).losses).toEqual({ slots: 1_500 });

    const half = [builtOn('home', 'x', [0, 2_000]), waited];
    expect(lossesOf(half, 5_000, 3_000).losses).toEqual({ held: 2_000 });
  });

  test('is a slower machine than the fastest that could build it', () => {
    const fleet = fleetOf(machineOf('home'), machineOf('h2', { speed: 2 }));
    const run = [builtOn('home', 'a', [0, 4_000])];
    expect(lossesOf(run, 4_000, 2_000, fleet).losses).toEqual({ 'slower-machine': 2_000 });
    const needsKvm = [{ ...run[0]!, requiredFeatures: ['kvm'] }];
    const onlyHome = fleetOf(machineOf('home', { features: ['kvm'] }), machineOf('h2', { speed: 2 }));
    expect(lossesOf(needsKvm, 4_000, 4_000, onlyHome).losses).toEqual({});
  });

  test('is evaluation that ended after the last build, or a job of nothing but fetching', () => {
    const fleet = fleetOf(machineOf('home'));
    expect(lossesOf([builtOn('home', 'a', [0, 1_000])], 1_700, 1_000, fleet, 1_500).losses).toEqual({
      planning: 500,
      result: 200,
    });
    expect(lossesOf([], 900, 0, fleet, 300).losses).toEqual({ planning: 300, result: 600 });
  });

  test('is the time with a machine that failed it', () => {
    const built = builtOn('home', 'a', [3_000, 4_000]);
    const failed = { peerId: 'h2', leasedMs: 10, startedMs: 100, endedMs: 2_990, failed: true };
    const run = [{ ...built, attempts: [failed, ...built.attempts] }];
    expect(lossesOf(run, 4_000, 1_000).losses).toEqual({ retry: 2_980, overhead: 20 });
  });

  test('is waiting for another job that built what this one needs too', () => {
    const { build: _, ...shared } = builtOn('h2', 'a', [0, 2_000], { attempts: [] });
    const run = [shared, builtOn('home', 'b', [2_000, 3_000], { dependencies: ['a'] })];
    expect(lossesOf(run, 3_000, 1_000).losses).toEqual({ 'other-jobs': 2_000 });
  });

  test('always adds up to the difference between the time taken and the bound', () => {
    const causes = fc.array(runArbitrary(), { minLength: 0, maxLength: 25 });
    const speeds = fc.double({ min: 0.3, max: 3, noNaN: true });
    fc.assert(
      fc.property(causes, fc.nat(2_000), speeds, fc.nat(9_000), (steps, restMs, speed, plannedMs) => {
        const machines = fleetOf(machineOf('home', { slots: 2 }), machineOf('h2', { speed }));
        const derivations = runOf(steps);
        const wallMs = Math.max(0, ...derivations.map(({ finishedMs }) => finishedMs)) + restMs;
        const measured = derivations.map((each) => ({ ...each, durationMs: workOf(each, machines) }));
        const boundMs = Math.min(wallMs, lowerBoundMs(measured, [...machines.values()].map(boundMachineOf)));
        const { losses } = delayCauses({ wallMs, boundMs, plannedMs, derivations, machines });
        const sum = losses.reduce((total, { ms }) => total + ms, 0);
        expect(sum).toBeCloseTo(wallMs - boundMs, 3);
        for (const { ms } of losses) expect(ms).toBeGreaterThan(0);
        expect(new Set<DelayCause>(losses.map(({ cause }) => cause)).size).toBe(losses.length);
      }),
    );
  });
});

interface Step {
  peer: string;
  needs: number[];
  waits: number[];
  durationMs: number;
  failed: boolean;
}

function runArbitrary(): fc.Arbitrary<Step> {
  return fc.record({
    peer: fc.constantFrom('home', 'h2'),
    needs: fc.array(fc.nat(30), { maxLength: 3 }),
    waits: fc.array(fc.nat(800), { minLength: 4, maxLength: 4 }),
    durationMs: fc.nat(3_000),
    failed: fc.boolean(),
  });
}

/** Derivations as some home could have run them: each begins after what it needs, wherever the steps say. */
function runOf(steps: readonly Step[]): FinishedDerivation[] {
  const run: FinishedDerivation[] = [];
  for (const [i, { peer, needs, waits, durationMs, failed }] of steps.entries()) {
    const before = needs.filter((need) => need < i).map((need) => run[need]!);
    const addedMs = waits[0]!;
    const readyMs = Math.max(addedMs, ...before.map(({ finishedMs }) => finishedMs));
    const leasedMs = readyMs + waits[1]!;
    const fetchedMs = leasedMs + waits[2]!;
    const startedMs = fetchedMs + waits[3]!;
    const built = builtOn(peer, `d${i}`, [startedMs, startedMs + durationMs], {
      addedMs,
      leasedMs,
      fetchedMs,
      dependencies: before.map(({ drvPath }) => drvPath),
    });
    const attempt = { peerId: 'h2', leasedMs: readyMs, startedMs: readyMs, endedMs: leasedMs, failed: true };
    run.push(failed ? { ...built, attempts: [attempt, ...built.attempts] } : built);
  }
  return run;
}
