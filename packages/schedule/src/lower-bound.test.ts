import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BoundMachine } from './bound-machines.ts';
import { criticalPath, lowerBoundMs, lowerBounds, type MeasuredDerivation } from './lower-bound.ts';

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

const machine = (speed: number, slots: number, more: Partial<BoundMachine> = {}): BoundMachine => ({
  speed,
  slots,
  ...more,
});
const x86 = 'x86_64-linux';
const arm = 'aarch64-linux';
const of = (system: string, each: MeasuredDerivation): MeasuredDerivation => ({ ...each, system });

const machines = fc.array(
  fc
    .record({
      speed: fc.constantFrom(0.5, 0.8, 1, 1.5, 2),
      slots: fc.integer({ min: 1, max: 3 }),
      native: fc.constantFrom<readonly string[]>([x86], [arm], [x86, arm]),
      emulates: fc.boolean(),
      features: fc.constantFrom<readonly string[]>([], ['kvm']),
    })
    .map(({ native, emulates, ...rest }): BoundMachine => {
      const others = emulates ? [x86, arm].filter((system) => !native.includes(system)) : [];
      const emulated = Object.fromEntries(others.map((system) => [system, 0.1]));
      return { ...rest, systems: [...native, ...others], emulated };
    }),
  { minLength: 1, maxLength: 3 },
);
const able: BoundMachine = { slots: 1, systems: [x86, arm], features: ['kvm'] };

const wishes = fc.record({
  system: fc.constantFrom(x86, arm, 'builtin'),
  requiredFeatures: fc.constantFrom<readonly string[]>([], ['kvm']),
});
const mixedGraphs = (most: number) =>
  fc
    .tuple(graphs, fc.array(wishes, { minLength: most, maxLength: most }))
    .map(([nodes, wanted]) => nodes.slice(0, most).map((each, i) => ({ ...each, ...wanted[i]! })));

function rate(each: MeasuredDerivation, on: BoundMachine): number {
  const { system = 'builtin', requiredFeatures = [] } = each;
  if (!requiredFeatures.every((feature) => on.features?.includes(feature) ?? true)) return 0;
  if (system === 'builtin') return on.speed ?? 1;
  return (on.systems?.includes(system) ?? true) ? (on.speed ?? 1) * (on.emulated?.[system] ?? 1) : 0;
}

/** The best of all schedules that never wait on purpose but may put anything anywhere: tiny graphs only. */
function bestMs(nodes: readonly MeasuredDerivation[], all: readonly BoundMachine[]): number {
  const slots = all.flatMap((each) => Array.from({ length: each.slots }, () => each));
  let best = Number.POSITIVE_INFINITY;
  const place = (
    ends: ReadonlyMap<string, number>,
    free: readonly number[],
    left: readonly MeasuredDerivation[],
  ) => {
    if (left.length === 0) best = Math.min(best, Math.max(0, ...ends.values()));
    for (const each of left) {
      if (left.some((other) => each.dependencies.includes(other.drvPath))) continue;
      const ready = Math.max(0, ...each.dependencies.map((d) => ends.get(d) ?? 0));
      for (const [i, slot] of slots.entries()) {
        const speed = rate(each, slot);
        if (speed === 0) continue;
        const end = Math.max(ready, free[i]!) + each.durationMs / speed;
        if (end >= best) continue;
        const rest = left.filter((other) => other !== each);
        place(new Map(ends).set(each.drvPath, end), free.with(i, end), rest);
      }
    }
  };
  place(
    new Map(),
    slots.map(() => 0),
    nodes,
  );
  return best;
}

describe('the lower bound on unequal machines', () => {
  test('of a chain has every link on the fastest machine', () => {
    const chain = [node(0, 10, []), node(1, 20, [0]), node(2, 30, [1])];
    expect(lowerBoundMs(chain, [machine(1, 8), machine(2, 1)])).toBe(30);
  });

  test('of equal independent work spreads it by speed', () => {
    const wide = Array.from({ length: 100 }, (_, n) => node(n, 1_000, []));
    expect(lowerBoundMs(wide, [machine(0.5, 2), machine(2, 2)])).toBe(20_000);
  });

  test('knows that only one of two long derivations gets the fast slot', () => {
    const two = [node(0, 3_000, []), node(1, 3_000, [])];
    // 6 s of work on speeds 2 and 1: not even sharing both evenly takes less than 2 s, where path and half the slots say 1.5 s.
    expect(lowerBounds(two, [machine(2, 1), machine(1, 1), machine(0.5, 50)])).toMatchObject({
      pathMs: 1_500,
      longestMs: 2_000,
    });
  });

  test('counts for a system only machines that build it', () => {
    const nodes = [0, 1, 2, 3].map((n) => of(n < 3 ? arm : x86, node(n, 1_000, [])));
    const both = [machine(1, 1, { systems: [arm] }), machine(1, 3, { systems: [x86] })];
    expect(lowerBoundMs(nodes, both)).toBe(3_000);
  });

  test('counts emulation for what it is worth', () => {
    const nodes = Array.from({ length: 11 }, (_, n) => of(arm, node(n, 1_000, [])));
    const emulating = { systems: [x86, arm], emulated: { [arm]: 0.1 } };
    // In 10 s the native slot does ten of them and the emulating one the eleventh.
    expect(
      lowerBounds(nodes, [machine(1, 1, { systems: [arm] }), machine(1, 1, emulating)]).areaMs,
    ).toBeCloseTo(10_000);
  });

  test('weighs systems against each other where machines serve both', () => {
    const nodes = [...Array(20).keys()].map((n) => of(n < 10 ? arm : x86, node(n, 1_000, [])));
    const both = { systems: [x86, arm], emulated: { [arm]: 0.1 } };
    // Neither system alone nor both as one says more than 10 s / 2: but the emulator's help costs ten times its worth.
    const bound = lowerBounds(nodes, [machine(1, 1, { systems: [arm] }), machine(1, 1, both)]).areaMs;
    expect(bound).toBeCloseTo(10_000);
  });

  test('counts features', () => {
    const nodes = [0, 1, 2].map((n) => ({ ...node(n, 1_000, []), requiredFeatures: ['kvm'] }));
    const all = [machine(1, 1, { features: ['kvm'] }), machine(4, 8, { features: [] })];
    expect(lowerBoundMs(nodes, all)).toBe(3_000);
  });

  test('gives a lone build all cores, as far as it can use them', () => {
    const lone = [{ ...node(0, 8_000, []), parallel: 0.5 }];
    expect(lowerBoundMs(lone, [machine(1, 4, { cores: 4 })])).toBe(5_000);
  });

  test('of nothing is nothing', () => {
    expect(lowerBoundMs([], [machine(1, 1)])).toBe(0);
    expect(lowerBoundMs([], [])).toBe(0);
  });

  test('never exceeds the best of all schedules', () => {
    fc.assert(
      fc.property(mixedGraphs(4), machines, (nodes, some) => {
        const all = [...some, able];
        expect(lowerBoundMs(nodes, all)).toBeLessThanOrEqual(bestMs(nodes, all) * (1 + 1e-9));
      }),
      { numRuns: 300 },
    );
  });

  test('never falls when a machine goes', () => {
    fc.assert(
      fc.property(graphs, machines, (nodes, some) => {
        // The grid is the same only while heads and tails are: compared are the bounds that need none.
        const of = (all: readonly BoundMachine[]) => {
          const { pathMs, areaMs, longestMs } = lowerBounds(nodes, all);
          return Math.max(pathMs, areaMs, longestMs);
        };
        expect(of([able, ...some.slice(1)])).toBeGreaterThanOrEqual(of([able, ...some]) - 1e-6);
      }),
    );
  });

  test('is that of equal slots where machines are equal', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 8 }), (nodes, slots) => {
        const one = Array.from({ length: slots }, () => machine(1, 1));
        expect(lowerBoundMs(nodes, one)).toBeCloseTo(lowerBoundMs(nodes, slots));
      }),
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
