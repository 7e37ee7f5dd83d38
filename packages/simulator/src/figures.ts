import { type Conditions, loadGraph, loadMesh, repeat } from './experiment.ts';
import { NO_FAULTS } from './faults.ts';
import type { Summary } from './summary.ts';
import { DEFAULT_WORKLOAD } from './workload.ts';

/** One thing the project wants of its scheduler, and whether it has it. */
export interface Figure {
  readonly name: string;
  readonly title: string;
  readonly required: number;
  /** The worst over all graphs and meshes, and where. */
  readonly value: number;
  readonly where: string;
  readonly met: boolean;
}

/** All recorded graphs but the largest, which has a benchmark of its own. */
const GRAPHS = [
  'hello',
  'git',
  'linux-libre',
  'rust',
  'emacs',
  'icecat',
  'python-sci',
  'multiarch',
  'os-desktop',
  't2sde-all',
];
const MESHES = ['lan4', 'lan8', 'lan32'];
const HISTORIES = ['warm', 'cold'] as const;
const POLICIES = ['mesh', 'nix'];

/** A factor e, as the project's figures ask for. */
const ERROR = 1;
const NIX_IS_SLOW = 2;
const NIX_SHARE = 0.5;

/** Plays every recorded graph on every mesh with both histories; `onDone` hears of each as it is there. */
export function measureFigures(
  seeds: number,
  firstSeed: number,
  onDone: (summary: Summary) => void,
): Summary[] {
  const summaries: Summary[] = [];
  for (const name of GRAPHS) {
    const graph = loadGraph(name, firstSeed);
    for (const meshName of MESHES) {
      const mesh = loadMesh(meshName, graph);
      for (const history of HISTORIES) {
        for (const policy of POLICIES) {
          // Nix predicts nothing.
          if (policy === 'nix' && history === 'cold') continue;
          const conditions: Conditions = {
            workload: { ...DEFAULT_WORKLOAD, history, error: ERROR },
            faults: NO_FAULTS,
            speedError: 0,
            memory: false,
            heartbeatMs: undefined,
          };
          const summary = repeat({ graph, mesh, policy, conditions, seeds, firstSeed });
          onDone(summary);
          summaries.push(summary);
        }
      }
    }
  }
  return summaries;
}

/** Judges what was measured. */
export function judge(summaries: readonly Summary[]): Figure[] {
  const of = (policy: string, history: string) =>
    summaries.filter((each) => each.policy === policy && each.history === history);
  const warm = of('mesh', 'warm');
  const cold = of('mesh', 'cold');
  const slow = of('nix', 'warm').filter((each) => each.meanRatio > NIX_IS_SLOW);
  const shares = slow.map((nix): [Summary, number] => {
    const mesh = warm.find((each) => each.graph === nix.graph && each.mesh === nix.mesh)!;
    return [mesh, mesh.meanWallMs / nix.meanWallMs];
  });
  const by = (all: readonly Summary[], value: (summary: Summary) => number) =>
    all.map((each): [Summary, number] => [each, value(each)]);
  return [
    figure(
      'warm-mean',
      'mean wall over bound, warm history',
      1.15,
      by(warm, (s) => s.meanRatio),
    ),
    figure(
      'warm-worst',
      'worst wall over bound, warm history',
      1.3,
      by(warm, (s) => s.worstRatio),
    ),
    figure(
      'cold-mean',
      'mean wall over bound, cold history',
      1.35,
      by(cold, (s) => s.meanRatio),
    ),
    figure('nix-share', 'of the wall of Nix where that is over 2 bounds', NIX_SHARE, shares),
    figure(
      'waste',
      'percent of slot time lost in races',
      5,
      by([...warm, ...cold], (s) => s.wastePercent),
    ),
  ];
}

function figure(
  name: string,
  title: string,
  required: number,
  values: readonly (readonly [Summary, number])[],
): Figure {
  let worst: readonly [Summary, number] | undefined;
  for (const each of values) if (worst === undefined || each[1] > worst[1]) worst = each;
  const value = worst?.[1] ?? 0;
  const where =
    worst === undefined ? 'nowhere' : `${worst[0].graph} on ${worst[0].mesh}, ${worst[0].history}`;
  return { name, title, required, value, where, met: value <= required };
}
