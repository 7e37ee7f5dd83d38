import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeptClosures, type PathSize } from './kept-closures.ts';

const HOUR_MS = 3_600_000;
const NO_LIMITS = { maxBytes: Number.POSITIVE_INFINITY, maxAgeMs: Number.POSITIVE_INFINITY, maxCount: 1e9 };

function infosOf(paths: Record<string, [narSize: number, ...references: string[]]>): Map<string, PathSize> {
  return new Map(
    Object.entries(paths).map(([path, [narSize, ...references]]) => [path, { narSize, references }]),
  );
}

describe('what kept results keep alive', () => {
  const infos = infosOf({ libc: [100], app: [10, 'libc', 'app'], tool: [5, 'libc'] });

  test('counts once, however many lead to it, and until nobody does', () => {
    const kept = new KeptClosures();
    kept.add('app', 1, infos);
    kept.add('tool', 2, infos);
    expect(kept.bytes).toBe(115);
    kept.remove('app');
    expect(kept.bytes).toBe(105);
    kept.remove('tool');
    expect([kept.bytes, kept.knows('libc')]).toEqual([0, false]);
  });

  test('is the union of the closures, whatever comes and goes', () => {
    const size = 12;
    const graph = fc
      .array(fc.tuple(fc.nat(1_000), fc.array(fc.nat(size - 1), { maxLength: 3 })), {
        minLength: size,
        maxLength: size,
      })
      .map(
        (nodes) =>
          new Map<string, PathSize>(
            nodes.map(([narSize, references], at) => [
              `p${at}`,
              { narSize, references: references.filter((to) => to <= at).map((to) => `p${to}`) },
            ]),
          ),
      );
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(size - 1)), { maxLength: 40 });
    fc.assert(
      fc.property(graph, steps, (nodes, changes) => {
        const kept = new KeptClosures();
        const expected = new Set<string>();
        for (const [isAdded, at] of changes) {
          if (isAdded) kept.add(`p${at}`, 0, nodes);
          else kept.remove(`p${at}`);
          if (isAdded) expected.add(`p${at}`);
          else expected.delete(`p${at}`);
        }
        const closure = new Set(expected);
        for (const path of closure) for (const to of nodes.get(path)!.references) closure.add(to);
        expect(kept.bytes).toBe([...closure].reduce((sum, path) => sum + nodes.get(path)!.narSize, 0));
        expect(new Set(kept.paths)).toEqual(expected);
      }),
    );
  });
});

describe('letting go', () => {
  const infos = infosOf({ a: [10], b: [10], c: [10] });
  const three = (): KeptClosures => {
    const kept = new KeptClosures();
    kept.add('a', 1 * HOUR_MS, infos);
    kept.add('b', 2 * HOUR_MS, infos);
    kept.add('c', 3 * HOUR_MS, infos);
    return kept;
  };

  test('begins with what was used longest ago, and ends within the limit', () => {
    const kept = three();
    expect(kept.trim({ ...NO_LIMITS, maxBytes: 20 }, 4 * HOUR_MS)).toEqual(['a']);
    kept.used('b', 4 * HOUR_MS);
    expect(kept.trim({ ...NO_LIMITS, maxBytes: 10 }, 4 * HOUR_MS)).toEqual(['c']);
    expect(kept.trim({ ...NO_LIMITS, maxBytes: 0 }, 4 * HOUR_MS)).toEqual(['b']);
  });

  test('takes what nobody used for too long', () => {
    const kept = three();
    expect(kept.nextEndMs({ maxAgeMs: 2 * HOUR_MS })).toBe(3 * HOUR_MS);
    expect(kept.trim({ ...NO_LIMITS, maxAgeMs: 2 * HOUR_MS }, 4 * HOUR_MS)).toEqual(['a', 'b']);
    expect([...kept.paths]).toEqual(['c']);
  });

  test('takes the oldest of too many', () => {
    expect(three().trim({ ...NO_LIMITS, maxCount: 2 }, 4 * HOUR_MS)).toEqual(['a']);
  });

  test('leaves alone what is within all limits', () => {
    expect(three().trim(NO_LIMITS, 1e15)).toEqual([]);
  });
});
