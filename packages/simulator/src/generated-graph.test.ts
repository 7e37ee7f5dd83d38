import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { generateGraph, SHAPE_NAMES } from './generated-graph.ts';

describe('a generated graph', () => {
  test('has as many derivations as asked for, each needing earlier ones only', () => {
    fc.assert(
      fc.property(fc.constantFrom(...SHAPE_NAMES), fc.nat(200), fc.nat(), (shape, count, seed) => {
        const graph = generateGraph(`${shape}:${count}`, seed)!;
        expect(graph.names).toHaveLength(count);
        for (const [i, needs] of graph.dependencies.entries())
          for (const need of needs) expect(need).toBeLessThan(i);
      }),
    );
  });

  test('has the shape it is called by', () => {
    expect(generateGraph('wide:3', 1)!.dependencies).toEqual([[], [], []]);
    expect(generateGraph('chain:3', 1)!.dependencies).toEqual([[], [0], [1]]);
    expect(generateGraph('diamond:5', 1)!.dependencies).toEqual([[], [0], [0], [0], [1, 2, 3]]);
    const forks = generateGraph('fork-join:34', 1)!.dependencies;
    expect(forks[16]).toEqual([...Array(16).keys()]);
    expect(forks[17]).toEqual([16]);
    expect(forks[33]).toHaveLength(16);
  });

  test('is the same for the same seed and another for another', () => {
    expect(generateGraph('random:50', 3)).toEqual(generateGraph('random:50', 3));
    expect(generateGraph('random:50', 3)).not.toEqual(generateGraph('random:50', 4));
  });

  test('is not what a plain name asks for', () => {
    expect(generateGraph('git', 1)).toBeUndefined();
  });

  test.each(['wide:-1', 'wide:x', 'wide:', 'wide:1e9', 'star:3'])('%s is refused in one sentence', (text) => {
    expect(() => generateGraph(text, 1)).toThrow(expect.objectContaining({ code: 'SIMULATOR_GRAPH' }));
  });
});
