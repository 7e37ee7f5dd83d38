import { ManualClock } from '@mesh/net/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import type { PlannedDerivation } from '../job/planner.ts';
import { FreshPredictions } from './fresh-predictions.ts';

let clock: ManualClock;
let planned: PlannedDerivation[];
let open: Set<string>;
let asked: string[];
let told: ReadonlyMap<string, { predictedMs: number }>[];
let truthMs: number;
let basis: 'cold' | 'name';
let fresh: FreshPredictions;

function derivations(count: number, place: 'anywhere' | 'substitute' = 'anywhere'): PlannedDerivation[] {
  return Array.from({ length: count }, (_, i) => ({
    node: {
      ...{ drvPath: `/nix/store/${i}.drv`, name: `${i}`, system: 'x86_64-linux', requiredFeatures: [] },
      ...{ dependencies: [], place, predictedMs: 1_000, outputs: [] },
      history: { basis: 'cold', samples: 0, spread: 1 },
    },
    derivation: { system: 'x86_64-linux' },
    shape: { inputs: 0, local: false, download: false },
  })) as unknown as PlannedDerivation[];
}

beforeEach(() => {
  clock = new ManualClock();
  planned = derivations(3);
  open = new Set(planned.map(({ node }) => node.drvPath));
  asked = [];
  told = [];
  truthMs = 2_000;
  basis = 'cold';
  fresh = new FreshPredictions({
    clock,
    planned: () => planned,
    isOpen: (drvPath) => open.has(drvPath),
    predict: ({ node }) => {
      asked.push(node.drvPath);
      return { predictedMs: truthMs, history: { basis, samples: 0, spread: 1 } };
    },
    changed: (predictions) => told.push(predictions),
  });
});

describe('while a job runs', () => {
  it('what waits is predicted anew some seconds after builds have ended, once for all of them', () => {
    fresh.learned();
    fresh.learned();
    clock.pass(4_900);
    expect(told).toEqual([]);
    clock.pass(200);
    expect(told).toHaveLength(1);
    expect([...told[0]!.values()].map(({ predictedMs }) => predictedMs)).toEqual([2_000, 2_000, 2_000]);
    clock.pass(60_000);
    expect(told, 'nothing more was learned').toHaveLength(1);
    fresh.learned();
    clock.pass(5_000);
    expect(told).toHaveLength(2);
  });

  it('what a machine has already, or what is only fetched, is left as it was', () => {
    planned = [...derivations(2), ...derivations(3, 'substitute').slice(2)];
    open.delete('/nix/store/0.drv');
    fresh.learned();
    clock.pass(5_000);
    expect(told.map((predictions) => [...predictions.keys()])).toEqual([['/nix/store/1.drv']]);
  });

  it('a prediction that moved by little is not told, one that has become better founded is', () => {
    truthMs = 1_150;
    fresh.learned();
    clock.pass(5_000);
    expect(told).toEqual([]);
    basis = 'name';
    fresh.learned();
    clock.pass(5_000);
    expect(told[0]?.size).toBe(3);
  });

  it('a large graph is walked through in turns, and all of it', () => {
    planned = derivations(5_000);
    open = new Set(planned.map(({ node }) => node.drvPath));
    fresh.learned();
    clock.pass(5_000);
    expect(asked).toHaveLength(2_000);
    expect(told).toEqual([]);
    open.delete('/nix/store/0.drv');
    fresh.learned();
    clock.pass(20);
    expect(asked).toHaveLength(5_000);
    expect(
      told.map(({ size }) => size),
      'told at once, but for what has got a machine meanwhile',
    ).toEqual([4_999]);
    clock.pass(6_000);
    expect(asked.length, 'what was learned meanwhile brings another round').toBeGreaterThan(5_000);
  });

  it('nothing is predicted any more after the end', () => {
    fresh.learned();
    fresh.stop();
    clock.pass(60_000);
    expect(asked).toEqual([]);
  });
});
