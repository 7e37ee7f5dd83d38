import { expect, test } from 'vitest';
import { boundSeconds, recordedGraph, wideGraph } from './recorded-graph.ts';

test('a slow host counts for what it can do: 60 x 1 s on four fast and two slow slots', () => {
  expect(boundSeconds(wideGraph(60, 1), 1, 'equal')).toBeCloseTo(10);
  expect(boundSeconds(wideGraph(60, 1), 1, 'half')).toBeCloseTo(12);
});

test('a recorded graph takes no less than its longest chain on the fastest host', () => {
  const graph = recordedGraph('hello');
  const ends: number[] = [];
  for (const [i, deps] of graph.deps.entries())
    ends.push(Math.max(0, ...deps.map((dep) => ends[dep]!)) + (graph.cpuSeconds[i] ?? 0) * 0.002);
  expect(boundSeconds(graph, 0.002, 'half')).toBeGreaterThanOrEqual(Math.max(...ends) - 1e-6);
});
