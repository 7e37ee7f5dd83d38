import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BuildGraph } from './build-graph.ts';
import { type Conditions, makeScenario, simulate } from './experiment.ts';
import { NO_FAULTS } from './faults.ts';
import { generateGraph } from './generated-graph.ts';
import type { Mesh } from './machine.ts';
import { presetMesh } from './meshes.ts';
import type { Scenario } from './scenario.ts';
import { DEFAULT_WORKLOAD } from './workload.ts';

const exact: Conditions = {
  workload: { ...DEFAULT_WORKLOAD, history: 'exact' },
  faults: NO_FAULTS,
  speedError: 0,
  memory: false,
  heartbeatMs: undefined,
};
const warm: Conditions = { ...exact, workload: { ...DEFAULT_WORKLOAD, history: 'warm' } };
const lan8 = presetMesh('lan8', []);

function equal(machines: number): Mesh {
  const [one] = presetMesh('equal4', []).machines;
  return {
    name: 'equal',
    machines: Array.from({ length: machines }, (_, i) => ({ ...one!, name: `m${i}` })),
  };
}

/** The same graph with nothing to move. */
const weightless = (graph: BuildGraph): BuildGraph => ({
  ...graph,
  outputBytes: graph.outputBytes.map(() => 0),
});

describe('on equal machines, with exact predictions and nothing to move', () => {
  // Graham 1966 for greedy schedules without overheads; those of this one per link of the longest chain.
  const OVERHEAD_MS = 100;
  const shapes = fc.constantFrom('wide', 'chain', 'diamond', 'fork-join', 'random');

  test('no schedule is longer than twice the bound', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.integer({ min: 1, max: 120 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(),
        (shape, n, m, seed) => {
          const graph = weightless(generateGraph(`${shape}:${n}`, seed)!);
          const { wallMs, boundMs } = simulate(makeScenario(graph, equal(m), exact, seed), 'mesh');
          expect(wallMs).toBeLessThanOrEqual(2 * boundMs + OVERHEAD_MS * n);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('the order in which derivations are told', () => {
  test('changes nothing about the length of the schedule', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(1_000), fc.nat(1_000), (n, seed, shuffle) => {
        const graph = weightless(generateGraph(`random:${n}`, seed)!);
        const told = makeScenario(graph, lan8, exact, 1);
        const order = [...told.workload.jobs[0]!.tasks].sort(
          (a, b) => (((a + 1) * (shuffle * 2 + 1)) % 997) - (((b + 1) * (shuffle * 2 + 1)) % 997),
        );
        const jobs = told.workload.jobs.map((job) => ({ ...job, tasks: order }));
        const otherwise: Scenario = { ...told, workload: { ...told.workload, jobs } };
        expect(simulate(otherwise, 'mesh').wallMs).toBeCloseTo(simulate(told, 'mesh').wallMs, 6);
      }),
      { numRuns: 40 },
    );
  });
});

describe('a machine that lies about its speed', () => {
  test('is found out: the lie costs little against the truth', () => {
    const mesh = equal(4);
    const machines = mesh.machines.map((each, i) => (i === 3 ? { ...each, speed: 0.25 } : each));
    // Long enough for builds to tell, with a path that must not go to the liar.
    const graph = weightless(generateGraph('random:300', 5)!);
    const honest = makeScenario(graph, { name: 'honest', machines }, warm, 1);
    const lying: Scenario = { ...honest, claimedSpeeds: [1, 1, 1, 8] };
    const [truth, lie] = [simulate(honest, 'mesh'), simulate(lying, 'mesh')];
    expect(lie.wallMs).toBeLessThan(1.5 * truth.wallMs);
    // Left alone, it would get whatever ends soonest at eight times the speed: far more than a fair share.
    const onLiar = lie.spans.filter((span) => span.machine === 3).length;
    expect(onLiar).toBeLessThan(lie.spans.length / 4);
  });
});

describe('bad input', () => {
  test('a job of 0 derivations ends with its evaluation', () => {
    const { wallMs, built } = simulate(makeScenario(generateGraph('wide:0', 1)!, lan8, warm, 1), 'mesh');
    expect(wallMs).toBeLessThan(100);
    expect(built).toBe(0);
  });

  /** The needs of one derivation, as its home is told them, are others than they are. */
  function withNeeds(scenario: Scenario, index: number, needs: readonly string[]): Scenario {
    const tasks = scenario.workload.tasks.map((task) =>
      task.index === index ? { ...task, node: { ...task.node, dependencies: needs } } : task,
    );
    return { ...scenario, workload: { ...scenario.workload, tasks } };
  }

  test('a circle ends the job with a sentence that names it', () => {
    const chain = makeScenario(generateGraph('chain:4', 1)!, lan8, warm, 1);
    const last = chain.workload.tasks[3]!.drvPath;
    expect(() => simulate(withNeeds(chain, 1, [last]), 'mesh')).toThrow(
      expect.objectContaining({
        code: 'SIMULATOR_BROKEN',
        message: expect.stringMatching(/chain-\d failed: .*(circle|cycle|itself)/i),
      }),
    );
  });

  test('an input that never comes ends the job with a sentence that names it', () => {
    const chain = makeScenario(generateGraph('chain:4', 1)!, lan8, warm, 1);
    expect(() => simulate(withNeeds(chain, 1, ['/nix/store/nowhere.drv']), 'mesh')).toThrow(
      expect.objectContaining({
        code: 'SIMULATOR_BROKEN',
        message: expect.stringContaining('/nix/store/nowhere.drv'),
      }),
    );
  });

  test('what no machine can build ends the job with a sentence that says so', () => {
    const graph = { ...generateGraph('chain:3', 1)!, requiredFeatures: [[], ['quantum'], []] };
    expect(() => simulate(makeScenario(graph, lan8, warm, 1), 'mesh')).toThrow(
      expect.objectContaining({ code: 'SIMULATOR_BROKEN', message: expect.stringContaining('quantum') }),
    );
  });
});

test('builds that run out of memory where they first go end all the same', () => {
  const small = equal(4);
  const machines = small.machines.map((each, i) => ({ ...each, memoryBytes: i === 0 ? 64e9 : 1.5e9 }));
  const graph = generateGraph('wide:60', 2)!;
  const conditions = { ...warm, memory: true };
  const outcome = simulate(makeScenario(graph, { name: 'small', machines }, conditions, 1), 'mesh');
  expect(outcome.built).toBe(60);
});
