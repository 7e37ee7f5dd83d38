import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BuildGraph, DEFAULT_SYSTEM } from './build-graph.ts';
import { type Conditions, makeScenario, simulate } from './experiment.ts';
import { type FaultOptions, NO_FAULTS } from './faults.ts';
import type { Machine, Mesh } from './machine.ts';
import type { History } from './predictor.ts';
import type { Outcome, Scenario } from './scenario.ts';
import { DEFAULT_WORKLOAD } from './workload.ts';

const ARM = 'aarch64-linux';
const LINKS = [1_000, 30_000, 117_000];

const machine: fc.Arbitrary<Omit<Machine, 'name'>> = fc
  .record({
    speed: fc.constantFrom(0.5, 0.8, 1, 1.5, 2),
    cores: fc.integer({ min: 1, max: 4 }),
    link: fc.constantFrom(...LINKS),
    native: fc.constantFrom(DEFAULT_SYSTEM, ARM),
    emulates: fc.boolean(),
    features: fc.constantFrom<readonly string[]>([], ['kvm']),
  })
  .map(({ speed, cores, link, native, emulates, features }) => {
    const other = native === ARM ? DEFAULT_SYSTEM : ARM;
    return {
      speed,
      cores,
      slots: cores,
      memoryBytes: 8e9,
      downBytesPerMs: link,
      upBytesPerMs: link,
      systems: emulates ? [native, other] : [native],
      emulated: emulates ? { [other]: 0.1 } : {},
      features,
    };
  });

/** One machine can build everything, so that every graph can be built. */
const able: Machine = {
  name: 'm0',
  speed: 1,
  cores: 2,
  slots: 2,
  memoryBytes: 64e9,
  downBytesPerMs: 117_000,
  upBytesPerMs: 117_000,
  systems: [DEFAULT_SYSTEM, ARM],
  emulated: {},
  features: ['kvm'],
};

const meshes: fc.Arbitrary<Mesh> = fc.array(machine, { maxLength: 4 }).map((others) => ({
  name: 'random',
  machines: [able, ...others.map((each, i) => ({ ...each, name: `m${i + 1}` }))],
}));

const derivation = fc.record({
  needs: fc.array(fc.nat(), { maxLength: 3 }),
  /** Undefined: a download. */
  seconds: fc.option(fc.double({ min: 0, max: 500, noNaN: true }), { nil: undefined, freq: 8 }),
  bytes: fc.integer({ min: 0, max: 50_000_000 }),
  system: fc.constantFrom(DEFAULT_SYSTEM, DEFAULT_SYSTEM, ARM),
  features: fc.constantFrom<readonly string[]>([], [], ['kvm']),
});

const graphs: fc.Arbitrary<BuildGraph> = fc.array(derivation, { maxLength: 25 }).map((all) => ({
  name: 'random',
  names: all.map((_, i) => `d${i}`),
  dependencies: all.map(({ needs }, i) => (i === 0 ? [] : [...new Set(needs.map((need) => need % i))])),
  workMs: all.map(({ seconds }) => (seconds === undefined ? undefined : seconds * 1_000)),
  outputBytes: all.map(({ bytes }) => bytes),
  systems: all.map(({ system }) => system),
  requiredFeatures: all.map(({ features }) => features),
}));

const histories = fc.constantFrom<History>('exact', 'warm', 'cold');
const faults: fc.Arbitrary<FaultOptions> = fc.record({
  deaths: fc.nat(3),
  visits: fc.nat(3),
  jumps: fc.nat(2),
  straggle: fc.constantFrom(0, 0.2),
});

function conditions(
  more: Partial<Conditions & { history: History; homes: number; parallel: number }> = {},
): Conditions {
  const { history = 'warm', homes = 1, parallel = 0, ...rest } = more;
  return {
    workload: { ...DEFAULT_WORKLOAD, history, homes, parallel },
    faults: NO_FAULTS,
    speedError: 0,
    memory: false,
    heartbeatMs: undefined,
    ...rest,
  };
}

/** Rounding aside. */
const atLeastBound = ({ wallMs, boundMs }: Outcome) =>
  expect(wallMs).toBeGreaterThanOrEqual(boundMs * (1 - 1e-9));

/** Builds that ended by themselves, by task. */
function finished({ spans }: Outcome): Map<number, number> {
  const times = new Map<number, number>();
  for (const { task, outcome } of spans) if (outcome === 'done') times.set(task, (times.get(task) ?? 0) + 1);
  return times;
}

/** Never more builds at once than slots, nor more cores than there are. */
function expectWithinMachines({ spans }: Outcome, { machines }: Mesh): void {
  for (const [m, { slots, cores }] of machines.entries()) {
    const changes = spans
      .filter((span) => span.machine === m)
      .flatMap(({ startMs, endMs, cores: given }) => [
        { at: startMs, builds: 1, cores: given },
        { at: endMs, builds: -1, cores: -given },
      ])
      // What ends makes room for what starts at the same instant.
      .sort((a, b) => a.at - b.at || a.builds - b.builds);
    let builds = 0;
    let busy = 0;
    for (const change of changes) {
      builds += change.builds;
      busy += change.cores;
      expect(builds).toBeLessThanOrEqual(slots);
      expect(busy).toBeLessThanOrEqual(cores);
    }
  }
}

/** What a build needs was built, and ended, before it started. */
function expectInputsFirst({ spans }: Outcome, { workload }: Scenario): void {
  const firstEnd = new Map<number, number>();
  for (const { task, outcome, endMs } of spans)
    if (outcome === 'done')
      firstEnd.set(task, Math.min(firstEnd.get(task) ?? Number.POSITIVE_INFINITY, endMs));
  for (const { task, startMs } of spans)
    for (const need of workload.tasks[task]!.dependencies)
      expect(firstEnd.get(need)).toBeLessThanOrEqual(startMs);
}

describe('the mesh, on any graph and any machines', () => {
  test('builds everything once, in order, within its machines, in no less than the bound', () => {
    fc.assert(
      fc.property(
        graphs,
        meshes,
        histories,
        fc.constantFrom(0, 0.9),
        fc.nat(),
        (graph, mesh, history, parallel, seed) => {
          const scenario = makeScenario(graph, mesh, conditions({ history, parallel }), seed);
          const outcome = simulate(scenario, 'mesh');
          atLeastBound(outcome);
          // The simulation itself throws where one is counted twice.
          expect(outcome.built).toBe(graph.names.length);
          expectInputsFirst(outcome, scenario);
          expectWithinMachines(outcome, mesh);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('builds everything whatever machines, users and clocks do', () => {
    fc.assert(
      fc.property(graphs, meshes, faults, histories, fc.nat(), (graph, mesh, wrong, history, seed) => {
        const scenario = makeScenario(graph, mesh, conditions({ faults: wrong, history }), seed);
        const outcome = simulate(scenario, 'mesh');
        atLeastBound(outcome);
        expect(outcome.built).toBe(graph.names.length);
        expectInputsFirst(outcome, scenario);
      }),
      { numRuns: 150 },
    );
  });

  test('builds what two homes share once', () => {
    fc.assert(
      fc.property(graphs, meshes, fc.nat(), (graph, mesh, seed) => {
        const homes = Math.min(2, mesh.machines.length);
        // Both homes must be able to build what only a home may.
        const machines = mesh.machines.map((each, i) => (i < homes ? { ...able, name: each.name } : each));
        const scenario = makeScenario(graph, { ...mesh, machines }, conditions({ homes }), seed);
        const outcome = simulate(scenario, 'mesh');
        atLeastBound(outcome);
        expect(outcome.built).toBe(graph.names.length);
        if (outcome.races === 0) for (const times of finished(outcome).values()) expect(times).toBe(1);
      }),
      { numRuns: 80 },
    );
  });

  test('goes the same way again with the same seed', () => {
    fc.assert(
      fc.property(graphs, meshes, faults, fc.nat(), (graph, mesh, wrong, seed) => {
        const again = () => simulate(makeScenario(graph, mesh, conditions({ faults: wrong }), seed), 'mesh');
        expect(again().traceHash).toBe(again().traceHash);
      }),
      { numRuns: 40 },
    );
  });
});

describe('the policy of Nix, on any graph and any machines', () => {
  test('builds everything in no less than the bound', () => {
    fc.assert(
      fc.property(
        graphs,
        meshes,
        faults,
        fc.constantFrom('nix', 'nix-tuned'),
        fc.nat(),
        (graph, mesh, wrong, policy, seed) => {
          const scenario = makeScenario(graph, mesh, conditions({ faults: wrong }), seed);
          const outcome = simulate(scenario, policy);
          atLeastBound(outcome);
          expect(outcome.built).toBe(graph.names.length);
          expectInputsFirst(outcome, scenario);
        },
      ),
      { numRuns: 100 },
    );
  });
});
