import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomFrom, runToEnd } from './mesh-course.ts';
import { SimulatedMesh } from './simulated-mesh.ts';
import type { DerivationNode } from './types.ts';

/** A graph: for each derivation, how far back its dependencies are. */
const graph = fc
  .array(
    fc.record({
      back: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
      ms: fc.integer({ min: 1, max: 5_000 }),
      pinned: fc.boolean(),
    }),
    { minLength: 1, maxLength: 18 },
  )
  .map((shape) =>
    shape.map(
      ({ back, ms, pinned }, i): DerivationNode => ({
        drvPath: `d${i}`,
        name: `d${i}`,
        system: 'x86_64-linux',
        requiredFeatures: [],
        dependencies: back.filter((n) => n <= i).map((n) => `d${i - n}`),
        place: pinned && i % 4 === 0 ? ('prefer-home' as const) : ('anywhere' as const),
        predictedMs: ms,
        outputs: [],
      }),
    ),
  );

const course = fc.record({
  nodes: graph,
  seed: fc.integer(),
  slots: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
  aheadSlots: fc.integer({ min: 0, max: 2 }),
  duplicates: fc.constantFrom(0, 0.3),
  orderedQueues: fc.boolean(),
});
type Course = typeof course extends fc.Arbitrary<infer T> ? T : never;

function meshOf(c: Course, failing: readonly string[] = [], machineFailures = 0): SimulatedMesh {
  return new SimulatedMesh({ ...c, random: randomFrom(c.seed), failing: new Set(failing), machineFailures });
}

/** What a single machine building one after the other would say. */
function expected(nodes: readonly DerivationNode[], failing: readonly string[]) {
  const failed = new Set<string>();
  const skipped = new Set<string>();
  for (const { drvPath, dependencies } of nodes) {
    if (dependencies.some((d) => failed.has(d) || skipped.has(d))) skipped.add(drvPath);
    else if (failing.includes(drvPath)) failed.add(drvPath);
  }
  return { failed: [...failed].sort(), skipped: [...skipped].sort() };
}

const keepGoing = { keepGoing: true };

describe('homes and workers together, messages in any order and any number of times', () => {
  it('builds a job: all of it, each derivation once', () => {
    fc.assert(
      fc.property(course, (c) => {
        const mesh = meshOf(c);
        mesh.submit(0, 'j', c.nodes, { keepGoing: false });
        runToEnd(mesh);
        expect(mesh.jobs.get('j')).toMatchObject({ ok: true, failed: [], skipped: [] });
        expect([...mesh.builds.values()]).toEqual(c.nodes.map(() => 1));
      }),
      { numRuns: 500 },
    );
  });

  it('builds what two homes need once, when their messages about claims keep order', () => {
    fc.assert(
      fc.property(course, fc.integer({ min: 1, max: 18 }), (c, shared) => {
        const mesh = meshOf({ ...c, slots: [...c.slots, 1, 1].slice(0, 3), orderedQueues: true });
        mesh.submit(0, 'a', c.nodes, keepGoing);
        mesh.run(c.seed & 63);
        mesh.submit(1, 'b', c.nodes.slice(0, shared), keepGoing);
        runToEnd(mesh);
        expect(mesh.jobs.get('a')?.ok).toBe(true);
        expect(mesh.jobs.get('b')?.ok).toBe(true);
        expect([...mesh.builds.values()]).toEqual(c.nodes.map(() => 1));
      }),
      { numRuns: 400 },
    );
  });

  it('ends three homes’ jobs with the answers one machine would give, also when claims come out of order', () => {
    fc.assert(
      fc.property(course, fc.subarray(['d0', 'd1', 'd2', 'd5', 'd9']), fc.boolean(), (c, failing, cancel) => {
        const mesh = meshOf({ ...c, slots: [...c.slots, 1, 2].slice(0, 3) }, failing, 5);
        for (const [at, job] of ['a', 'b', 'c'].entries()) {
          mesh.submit(at, job, c.nodes, keepGoing);
          mesh.run(c.seed & 31);
        }
        if (cancel) mesh.cancel(1, 'b');
        runToEnd(mesh);
        const { failed, skipped } = expected(c.nodes, failing);
        for (const job of cancel ? ['a', 'c'] : ['a', 'b', 'c']) {
          const end = mesh.jobs.get(job)!;
          expect([...end.failed].sort()).toEqual(failed);
          expect([...end.skipped].sort()).toEqual(skipped);
        }
        expect(mesh.jobs.has('b')).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  it('shares derivations between jobs of one home, whatever order they come, fail or are cancelled in', () => {
    fc.assert(
      fc.property(course, fc.integer({ min: 1, max: 18 }), fc.boolean(), (c, part, cancel) => {
        const mesh = meshOf(c, ['d3']);
        mesh.submit(0, 'a', c.nodes, keepGoing);
        mesh.submit(0, 'b', c.nodes.slice(0, part), { keepGoing: false });
        mesh.run(c.seed & 127);
        mesh.submit(0, 'c', c.nodes, keepGoing);
        if (cancel) mesh.cancel(0, 'a');
        runToEnd(mesh);
        const { failed, skipped } = expected(c.nodes, ['d3']);
        expect(mesh.jobs.get('b')?.ok).toBe(expected(c.nodes.slice(0, part), ['d3']).failed.length === 0);
        expect([...mesh.jobs.get('c')!.failed]).toEqual(failed);
        expect([...mesh.jobs.get('c')!.skipped].sort()).toEqual(skipped);
      }),
      { numRuns: 300 },
    );
  });

  it('survives machines that crash, come back and lose their connections', () => {
    const faults = fc.array(
      fc.record({
        after: fc.integer({ min: 1, max: 60 }),
        kind: fc.constantFrom('crash', 'blip', 'restart'),
        at: fc.integer({ min: 1, max: 2 }),
        other: fc.integer({ min: 0, max: 2 }),
      }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(course, faults, (c, storm) => {
        const mesh = meshOf({ ...c, slots: [...c.slots, 2, 1].slice(0, 3) }, ['d7'], 3);
        mesh.submit(0, 'a', c.nodes, keepGoing);
        mesh.submit(1, 'b', c.nodes, keepGoing);
        mesh.submit(2, 'c', c.nodes, keepGoing);
        for (const { after, kind, at, other } of storm) {
          mesh.run(after);
          if (kind === 'crash') mesh.crash(at);
          else if (kind === 'restart') mesh.restart(at);
          else mesh.blip(at, other);
        }
        runToEnd(mesh);
        const { failed, skipped } = expected(c.nodes, ['d7']);
        expect([...mesh.jobs.get('a')!.failed]).toEqual(failed);
        expect([...mesh.jobs.get('a')!.skipped].sort()).toEqual(skipped);
      }),
      { numRuns: 500 },
    );
  });
});
