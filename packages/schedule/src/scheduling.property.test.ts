import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomFrom, runToEnd } from './mesh-course.ts';
import { SimulatedMesh } from './simulated-mesh.ts';
import type { BuildHistory, DerivationNode, WorkerInfo } from './types.ts';

const history = fc.record({
  basis: fc.constantFrom('name' as const, 'family' as const, 'cold' as const),
  samples: fc.integer({ min: 0, max: 50 }),
  spread: fc.double({ min: 0, max: 3, noNaN: true }),
  memoryPeakBytes: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined }),
  busyCores: fc.option(fc.double({ min: 0, max: 16, noNaN: true }), { nil: undefined }),
  parallelShare: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  neverRace: fc.constantFrom(undefined, 'non-deterministic' as const, 'never-wins' as const),
  ranOutOfMemory: fc.constantFrom(undefined, undefined, undefined, true),
});

/** Figures no history and no machine should have, and everything may have one day. */
const absurd = fc.constantFrom(Number.NaN, 0, -1, -1e18, 1e18, 1e308, Number.POSITIVE_INFINITY, 5e-324);
const absurdHistory: fc.Arbitrary<BuildHistory> = fc.record({
  basis: fc.constantFrom('name' as const, 'cold' as const),
  samples: absurd,
  spread: absurd,
  memoryPeakBytes: absurd,
  busyCores: absurd,
  parallelShare: fc.option(absurd, { nil: undefined }),
});

/** Graphs with long runs in them, so that there are chains. */
function graphOf(predictedMs: fc.Arbitrary<number>, histories: fc.Arbitrary<BuildHistory | undefined>) {
  const shape = fc.record({
    back: fc.oneof(
      fc.constant<number[]>([1]),
      fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
    ),
    predictedMs,
    history: histories,
    pinned: fc.constantFrom(false, false, false, true),
  });
  return fc.array(shape, { minLength: 1, maxLength: 18 }).map((shapes) =>
    shapes.map(
      ({ back, pinned, ...known }, i): DerivationNode => ({
        drvPath: `d${i}`,
        name: `d${i}`,
        system: 'x86_64-linux',
        requiredFeatures: [],
        dependencies: back.filter((n) => n <= i).map((n) => `d${i - n}`),
        place: pinned ? ('prefer-home' as const) : ('anywhere' as const),
        outputs: [],
        ...known,
      }),
    ),
  );
}

const machine = fc.record({
  speed: fc.constantFrom(0.1, 0.5, 1, 1, 2, 10),
  cores: fc.integer({ min: 1, max: 8 }),
  freeMemoryBytes: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined }),
  linkBytesPerMs: fc.constantFrom(undefined, 1, 1_000),
});
const absurdMachine: fc.Arbitrary<Partial<WorkerInfo>> = fc.record({
  speed: absurd,
  cores: fc.constantFrom(0, 1, 1e9, Number.NaN),
  freeMemoryBytes: absurd,
  linkBytesPerMs: absurd,
  emulated: fc.option(fc.record({ 'x86_64-linux': absurd }), { nil: undefined }),
});

const course = fc.record({
  seed: fc.integer(),
  slots: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 3 }),
  aheadSlots: fc.integer({ min: 0, max: 2 }),
  duplicates: fc.constantFrom(0, 0.3),
  orderedQueues: fc.boolean(),
});

const durations = fc.constantFrom(1, 50, 400, 1_500, 5_000, 60_000);
const histories = fc.option(history, { nil: undefined });

function meshOf(c: typeof course extends fc.Arbitrary<infer T> ? T : never, machines: Partial<WorkerInfo>[]) {
  return new SimulatedMesh({
    ...c,
    machines,
    random: randomFrom(c.seed),
    failing: new Set(),
    machineFailures: 0,
  });
}

describe('machines of any speed, names with any history', () => {
  it('complete each derivation exactly once, with two leases at a time in races only, and without ping-pong', () => {
    const total = { leases: 0, races: 0, links: 0, derivations: 0 };
    fc.assert(
      fc.property(
        course,
        graphOf(durations, histories),
        fc.array(machine, { minLength: 3, maxLength: 3 }),
        (c, nodes, machines) => {
          const mesh = meshOf(c, machines);
          mesh.submit(0, 'j', nodes, { keepGoing: false });
          runToEnd(mesh);
          expect(mesh.jobs.get('j')).toMatchObject({ ok: true, failed: [], skipped: [] });
          expect([...mesh.builds.keys()].sort()).toEqual(nodes.map(({ drvPath }) => drvPath).sort());
          const { leases, races, links } = mesh.granted;
          // A lease each, those given back or asked back for a better place, and one race each at the most.
          expect(leases).toBeLessThanOrEqual(8 * nodes.length + 8);
          total.leases += leases;
          total.races += races;
          total.links += links;
          total.derivations += nodes.length;
        },
      ),
      { numRuns: 150 },
    );
    expect(total.races, 'races were run').toBeGreaterThan(0);
    expect(total.links, 'chains were run').toBeGreaterThan(0);
    expect(total.leases / total.derivations).toBeLessThan(2);
  });

  it('share a home’s jobs of any priorities: all of them end', () => {
    fc.assert(
      fc.property(
        course,
        graphOf(durations, histories),
        fc.array(machine, { minLength: 3, maxLength: 3 }),
        fc.constantFrom(0.01, 1, 100),
        (c, nodes, machines, priority) => {
          const mesh = meshOf(c, machines);
          mesh.submit(0, 'a', nodes, { keepGoing: true, priority });
          mesh.submit(0, 'b', nodes.slice(0, 5), { keepGoing: true });
          mesh.submit(
            1,
            'c',
            nodes.map((each) => ({ ...each, place: 'anywhere' as const })),
            {
              keepGoing: true,
            },
          );
          runToEnd(mesh);
          for (const job of ['a', 'b', 'c']) expect(mesh.jobs.get(job)?.ok).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('absurd figures', () => {
  it('of history keep nothing from being built', () => {
    fc.assert(
      fc.property(
        course,
        graphOf(fc.oneof(absurd, durations), fc.oneof(absurdHistory, histories)),
        fc.array(machine, { minLength: 3, maxLength: 3 }),
        (c, nodes, machines) => {
          const mesh = meshOf(c, machines);
          mesh.submit(0, 'j', nodes, { keepGoing: false });
          runToEnd(mesh);
          expect(mesh.jobs.get('j')).toMatchObject({ ok: true, failed: [], skipped: [] });
        },
      ),
      { numRuns: 100 },
    );
  });

  it('of machines keep nothing from being built', () => {
    fc.assert(
      fc.property(
        course,
        graphOf(durations, histories),
        fc.array(absurdMachine, { minLength: 3, maxLength: 3 }),
        (c, nodes, machines) => {
          const mesh = meshOf(c, machines);
          mesh.submit(0, 'j', nodes, { keepGoing: false });
          runToEnd(mesh);
          expect(mesh.jobs.get('j')).toMatchObject({ ok: true, failed: [], skipped: [] });
        },
      ),
      { numRuns: 100 },
    );
  });
});
