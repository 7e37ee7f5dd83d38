import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DerivationGraph, type Vertex } from './graph.ts';
import type { MeasuredDerivation } from './lower-bound.ts';

interface Plain extends Vertex<Plain> {}

const plain = (drvPath: string, predictedMs: number): Plain => ({
  drvPath,
  predictedMs,
  dependencies: [],
  dependants: [],
  bLevelMs: 0,
  mark: 0,
});

/** An acyclic graph (each depends on earlier ones only) and an order to describe it in. */
const shuffled = fc
  .array(
    fc.record({
      ms: fc.integer({ min: 0, max: 1_000 }),
      back: fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .chain((shape) => {
    const nodes = shape.map(({ ms, back }, i) => ({
      drvPath: `d${i}`,
      durationMs: ms,
      dependencies: back.filter((n) => n <= i).map((n) => `d${i - n}`),
    }));
    return fc.record({
      nodes: fc.constant(nodes),
      order: fc.shuffledSubarray(nodes, { minLength: nodes.length }),
      refreshAfter: fc.integer({ min: 1, max: 40 }),
    });
  });

/** The definition, tried out: the longest path from `at` up to anything nothing depends on. */
function longestPath(nodes: readonly MeasuredDerivation[], at: MeasuredDerivation): number {
  const above = nodes.filter((node) => node.dependencies.includes(at.drvPath));
  return at.durationMs + Math.max(0, ...above.map((node) => longestPath(nodes, node)));
}

describe('b-levels', () => {
  it('are the longest path to a root, in whatever order the graph came and was refreshed', () => {
    fc.assert(
      fc.property(shuffled, ({ nodes, order, refreshAfter }) => {
        const graph = new DerivationGraph<Plain>();
        for (const [i, node] of order.entries()) {
          graph.add(plain(node.drvPath, node.durationMs), node.dependencies);
          if (i % refreshAfter === 0) graph.refresh(false);
        }
        expect(graph.refresh(true).cycles).toEqual([]);
        const few = nodes.slice(0, 14);
        const all = new Map(nodes.map((n) => [n.drvPath, n]));
        // The definition takes exponential time: checked whole where the graph is small, step by step elsewhere.
        if (nodes.length === few.length)
          for (const n of few) expect(graph.get(n.drvPath)?.bLevelMs).toBe(longestPath(nodes, n));
        for (const { drvPath, dependants, bLevelMs } of graph.vertices())
          expect(bLevelMs).toBe(
            all.get(drvPath)!.durationMs + Math.max(0, ...dependants.map((d) => d.bLevelMs)),
          );
      }),
      { numRuns: 300 },
    );
  });

  it('forget a job that is taken out', () => {
    const graph = new DerivationGraph<Plain>();
    const [low, long, short] = [plain('low', 1), plain('long', 100), plain('short', 10)];
    graph.add(low, []);
    graph.add(long, ['low']);
    graph.add(short, ['low', 'not there yet']);
    graph.refresh(true);
    expect(low.bLevelMs).toBe(101);
    expect([...graph.awaited()]).toEqual([[short, 'not there yet']]);
    graph.removeAll(new Set([long]));
    graph.refresh(true);
    expect(low.bLevelMs).toBe(11);
    graph.removeAll(new Set([short]));
    expect([...graph.awaited()]).toEqual([]);
  });

  it('name the circle when there is one, and still come to an end', () => {
    const graph = new DerivationGraph<Plain>();
    graph.add(plain('a', 1), ['b']);
    graph.add(plain('b', 1), ['c']);
    expect(graph.refresh(true).cycles).toEqual([]);
    graph.add(plain('c', 1), ['a']);
    const { cycles } = graph.refresh(true);
    expect(cycles.map((cycle) => cycle.map((v) => v.drvPath).sort())).toEqual([['a', 'b', 'c']]);
    graph.add(plain('self', 1), ['self']);
    expect(graph.refresh(true).cycles.map((cycle) => cycle.map((v) => v.drvPath))).toEqual([['self']]);
  });

  it('stay cheap for 70,000 derivations that arrive one by one, dependencies first', () => {
    const graph = new DerivationGraph<Plain>();
    let visits = 0;
    for (let i = 0; i < 70_000; i++) {
      const dependencies = [i - 1, i - 7, i - 100].filter((n) => n >= 0).map((n) => `d${n}`);
      graph.add(plain(`d${i}`, 1), dependencies);
      visits += graph.refresh(false).changed.length;
    }
    visits += graph.refresh(true).changed.length;
    expect(graph.get('d0')?.bLevelMs).toBe(70_000);
    // Below 2,000 vertices every refresh walks them all; above, the whole growth costs a few walks' worth.
    expect(visits).toBeLessThan(2_000 * 1_000 + 10 * 70_000);
  });
});
