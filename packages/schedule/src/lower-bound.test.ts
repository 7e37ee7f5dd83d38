import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { criticalPath, lowerBoundMs, type MeasuredDerivation } from './lower-bound.ts';

const node = (n: number, durationMs: number, dependencies: number[]): MeasuredDerivation => ({
  drvPath: `/d${n}`,
  durationMs,
  dependencies: dependencies.map((d) => `/d${d}`),
});

/** Nodes depend on earlier ones only. */
const graphs = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 5_000 }), fc.array(fc.nat(), { maxLength: 3 })), {
    minLength: 1,
    maxLength: 40,
  })
  .map((specs) =>
    specs.map(([ms, wants], n) => node(n, ms, n === 0 ? [] : [...new Set(wants.map((want) => want % n))])),
  );

/** What a greedy scheduler takes on equal slots: an upper bound of the optimum. */
function greedyMs(nodes: readonly MeasuredDerivation[], slots: number): number {
  const ends = new Map<string, number>();
  const free = new Array<number>(slots).fill(0);
  const left = new Set(nodes);
  while (left.size > 0) {
    const ready = [...left].filter((each) => each.dependencies.every((dependency) => ends.has(dependency)));
    const starts = ready.map((each) =>
      Math.max(0, ...each.dependencies.map((dependency) => ends.get(dependency)!)),
    );
    const first = starts.indexOf(Math.min(...starts));
    const slot = free.indexOf(Math.min(...free));
    const end = Math.max(free[slot]!, starts[first]!) + ready[first]!.durationMs;
    free[slot] = end;
    ends.set(ready[first]!.drvPath, end);
    left.delete(ready[first]!);
  }
  return Math.max(...ends.values());
}

describe('the lower bound', () => {
  test('of a chain is its length, on any number of slots', () => {
    const chain = [node(0, 10, []), node(1, 20, [0]), node(2, 30, [1]), node(3, 5, [2])];
    expect([1, 2, 6].map((slots) => lowerBoundMs(chain, slots))).toEqual([65, 65, 65]);
  });

  test('of equal independent work followed by one is their area and the one', () => {
    const wide = Array.from({ length: 24 }, (_, n) => node(n, 1_000, []));
    const last = node(
      24,
      200,
      wide.map((_, n) => n),
    );
    expect(lowerBoundMs([...wide, last], 6)).toBe(4_200);
  });

  test('never exceeds what a real schedule takes', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 8 }), (nodes, slots) => {
        expect(lowerBoundMs(nodes, slots)).toBeLessThanOrEqual(greedyMs(nodes, slots) + 1e-6);
      }),
      { numRuns: 500 },
    );
  });

  test('is never below the critical path, nor below the work divided by the slots', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 8 }), (nodes, slots) => {
        const area = nodes.reduce((sum, each) => sum + each.durationMs, 0) / slots;
        expect(lowerBoundMs(nodes, slots)).toBeGreaterThanOrEqual(
          Math.max(criticalPath(nodes).ms, area) - 1e-6,
        );
      }),
    );
  });

  test('is at least half of what a greedy schedule takes', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 8 }), (nodes, slots) => {
        // Graham 1966: greedy is within 2 - 1/m of the best, proved with critical path and area alone.
        const most = (2 - 1 / slots) * lowerBoundMs(nodes, slots);
        expect(greedyMs(nodes, slots)).toBeLessThanOrEqual(most + 1e-6);
      }),
    );
  });

  test('refuses a circle by name', () => {
    const circle = [node(0, 1, [1]), node(1, 1, [2]), node(2, 1, [1]), node(3, 1, [])];
    expect(() => lowerBoundMs(circle, 1)).toThrow(
      expect.objectContaining({ code: 'SCHEDULE_CYCLE', path: expect.arrayContaining(['/d1', '/d2']) }),
    );
  });
});

test('the critical path is a chain of dependencies as long as it says', () => {
  fc.assert(
    fc.property(graphs, (nodes) => {
      const { ms, path } = criticalPath(nodes.toReversed());
      const chain = path.map((drvPath) => nodes.find((each) => each.drvPath === drvPath)!);
      expect(chain.reduce((sum, each) => sum + each.durationMs, 0)).toBe(ms);
      for (const [i, each] of chain.entries()) if (i > 0) expect(each.dependencies).toContain(path[i - 1]);
    }),
  );
});
