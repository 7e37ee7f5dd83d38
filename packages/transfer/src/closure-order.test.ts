import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReferenceCycleError, referencesFirst } from './closure-order.ts';

/** Graphs whose nodes refer only to nodes before them, plus some to themselves. */
const graphs = fc
  .array(fc.record({ targets: fc.array(fc.nat(), { maxLength: 5 }), self: fc.boolean() }), { maxLength: 40 })
  .map(
    (nodes) =>
      new Map(
        nodes.map(({ targets, self }, index) => {
          const references = index === 0 ? [] : targets.map((target) => `p${target % index}`);
          const path = `p${index}`;
          return [path, { path, references: self ? [...references, path] : references }];
        }),
      ),
  );

test('every path comes once, after all it refers to, and nothing comes that no root leads to', () => {
  fc.assert(
    fc.property(graphs, fc.array(fc.nat(), { maxLength: 4 }), (infos, picks) => {
      const roots = infos.size === 0 ? [] : picks.map((pick) => `p${pick % infos.size}`);
      const order = referencesFirst(roots, infos).map(({ path }) => path);
      const reachable = new Set<string>();
      const visit = (path: string): void => {
        if (reachable.has(path)) return;
        reachable.add(path);
        for (const reference of infos.get(path)!.references) visit(reference);
      };
      for (const root of roots) visit(root);
      expect(new Set(order)).toEqual(reachable);
      expect(order.length).toBe(reachable.size);
      for (const [place, path] of order.entries()) {
        for (const reference of infos.get(path)!.references) {
          expect(order.indexOf(reference)).toBeLessThanOrEqual(place);
        }
      }
    }),
  );
});

test('a circle is refused', () => {
  const infos = new Map([
    ['a', { path: 'a', references: ['b'] }],
    ['b', { path: 'b', references: ['c'] }],
    ['c', { path: 'c', references: ['a'] }],
  ]);
  expect(() => referencesFirst(['a'], infos)).toThrow(ReferenceCycleError);
});

test('a chain of 100,000 paths is no trouble', () => {
  const infos = new Map(
    Array.from({ length: 100_000 }, (_, index) => {
      const info = { path: `p${index}`, references: index === 0 ? [] : [`p${index - 1}`] };
      return [info.path, info] as const;
    }),
  );
  expect(referencesFirst(['p99999'], infos)).toHaveLength(100_000);
});
