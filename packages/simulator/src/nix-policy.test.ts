import { describe, expect, test } from 'vitest';
import { type BuildGraph, DEFAULT_SYSTEM } from './build-graph.ts';
import { type Conditions, loadGraph, makeScenario } from './experiment.ts';
import { NO_FAULTS } from './faults.ts';
import type { Machine, Mesh } from './machine.ts';
import { play, STOCK_NIX, TUNED_NIX } from './nix-policy.ts';
import type { NixCosts } from './nix-submitter.ts';
import { DEFAULT_WORKLOAD } from './workload.ts';

/** The lab: three hosts of two slots on one bridge. */
const host = (name: string, more: Partial<Machine> = {}): Machine => ({
  name,
  speed: 1,
  cores: 2,
  slots: 2,
  memoryBytes: 8e9,
  downBytesPerMs: 117_000,
  upBytesPerMs: 117_000,
  systems: [DEFAULT_SYSTEM],
  emulated: {},
  features: [],
  ...more,
});
const lab: Mesh = { name: 'lab', machines: [host('h1'), host('h2'), host('h3')] };
const BYTES = 4_096;

function graphOf(
  rows: readonly (readonly [name: string, needs: readonly number[], workMs: number])[],
): BuildGraph {
  return {
    name: 'test',
    names: rows.map(([name]) => name),
    dependencies: rows.map(([, needs]) => needs),
    workMs: rows.map(([, , workMs]) => workMs),
    outputBytes: rows.map(() => BYTES),
    systems: rows.map(() => DEFAULT_SYSTEM),
    requiredFeatures: rows.map(() => []),
  };
}

const numbers = (count: number) => [...Array(count).keys()];
const chain = graphOf(numbers(31).map((i) => [`c${i}`, i === 0 ? [] : [i - 1], 1]));
const wide = (seconds: number, count = 24) =>
  graphOf([
    ...numbers(count).map((i) => [`w${String(i).padStart(2, '0')}`, [], seconds * 1_000] as const),
    ['z', numbers(count), 1],
  ]);
/** As `dag.nix` makes it of the recorded graph: downloads are builds like any other, and one more needs all roots. */
function hello(scale: number): BuildGraph {
  const recorded = loadGraph('hello', 1);
  const needed = new Set(recorded.dependencies.flat());
  const roots = recorded.names.flatMap((_, i) => (needed.has(i) ? [] : [i]));
  return graphOf([
    ...recorded.names.map(
      (name, i) => [`n${i}-${name}`, recorded.dependencies[i]!, (recorded.workMs[i] ?? 0) * scale] as const,
    ),
    ['all-hello', roots, 0],
  ]);
}

const conditions: Conditions = {
  workload: { ...DEFAULT_WORKLOAD, downloads: 'anywhere' },
  faults: NO_FAULTS,
  speedError: 0,
  memory: false,
  heartbeatMs: undefined,
};
const seconds = (graph: BuildGraph, costs: NixCosts, mesh = lab) =>
  play(makeScenario(graph, mesh, conditions, 1), costs).wallMs / 1_000;

describe('the policy of Nix takes what Nix 2.34 takes in the lab, within a quarter', () => {
  test.each([
    ['a chain of 31 trivial derivations', chain, 12.6, 3.6],
    ['24 x 1 s, then one', wide(1), 17.6, 6.9],
    ['24 x 3 s, then one', wide(3), 26.7, 17.0],
    ['hello at scale 0.002', hello(0.002), 75.4, 51.4],
  ])('%s', (_, graph, stock, tuned) => {
    expect(seconds(graph, STOCK_NIX) / stock).toBeGreaterThan(0.75);
    expect(seconds(graph, STOCK_NIX) / stock).toBeLessThan(1.25);
    expect(seconds(graph, TUNED_NIX) / tuned).toBeGreaterThan(0.75);
    expect(seconds(graph, TUNED_NIX) / tuned).toBeLessThan(1.25);
  });
});

describe('the policy of Nix', () => {
  const where = (graph: BuildGraph, mesh: Mesh, costs = TUNED_NIX) => {
    const { spans } = play(makeScenario(graph, mesh, conditions, 1), costs);
    return spans.map((span) => mesh.machines[span.machine]!.name);
  };

  test('leaves the home idle while a remote slot is free, however fast the home is', () => {
    const fast: Mesh = {
      name: 'fast home',
      machines: [host('home', { speed: 10 }), host('slow', { speed: 0.5 })],
    };
    expect(where(wide(1, 2), fast)).toEqual(['slow', 'slow', 'slow']);
  });

  test('uses the home when all remote slots are taken', () => {
    const names = where(wide(10, 6), lab);
    expect(names.filter((name) => name === 'h1')).toHaveLength(2);
  });

  test('does not notice a freed slot before the next poll', () => {
    const two: Mesh = { name: 'two', machines: [host('h1', { slots: 1 }), host('h2', { slots: 1 })] };
    // Two start at once; both have ended when, five seconds later, the third is looked at again.
    expect(seconds(wide(2, 3), STOCK_NIX, two)).toBeGreaterThan(5 + 2);
    expect(seconds(wide(2, 3), TUNED_NIX, two)).toBeLessThan(6);
  });

  test('prefers the machine with the least load over speed factor, when somebody wrote the factors down', () => {
    const unequal: Mesh = {
      name: 'unequal',
      machines: [host('home'), host('slow', { speed: 0.5 }), host('quick', { speed: 2 })],
    };
    expect(where(wide(10, 1), unequal)[0]).toBe('quick');
  });

  test('sends nothing to a machine of another system', () => {
    const foreign: Mesh = {
      name: 'foreign',
      machines: [
        host('home'),
        host('arm', { systems: ['aarch64-linux', DEFAULT_SYSTEM], emulated: { [DEFAULT_SYSTEM]: 0.1 } }),
      ],
    };
    expect(new Set(where(wide(1, 4), foreign))).toEqual(new Set(['home']));
  });
});
