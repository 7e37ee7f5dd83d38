import { type BenchLab, PACE_FILE } from '../bench-lab.ts';
import { contest } from '../contest.ts';
import { type Figure, figure } from '../figure.ts';
import { boundSeconds, DAG_NIX, type RecordedGraph, recordedGraph, wideGraph } from '../recorded-graph.ts';
import { RIVALS } from '../rival.ts';
import type { Scenario } from './scenario.ts';

const REQUIRED_TIMES_BOUND = 1.2;
/** Half of what tuned Nix takes. */
const REQUIRED_OF_TUNED = 0.5;

interface Work {
  readonly graph: () => RecordedGraph;
  readonly scale: number;
  readonly beatsNix: boolean;
}

/** A graph on hosts of which one is half as fast as the others, with times already known from one build before. */
function halfSpeed(name: string, title: string, { graph, scale, beatsNix }: Work): Scenario {
  return {
    name,
    title: `${title}, one host at half speed`,
    shape: 'half',
    async measure(bench) {
      const recorded = graph();
      const workload = {
        file: DAG_NIX,
        args: await argumentsFor(bench, recorded, scale),
      };
      const bound = boundSeconds(recorded, scale, 'half');
      const first = await bench.build(workload, bench.salt());
      bench.told('mesh, first time', first.seconds);
      const homeIdle: number[] = [];
      const { mesh, tuned } = await contest(
        [
          {
            name: 'mesh',
            run: async (salt) => {
              const { seconds, report } = await bench.build(workload, salt);
              if (report.homeIdle !== undefined) homeIdle.push(report.homeIdle.count);
              return seconds;
            },
          },
          { name: 'tuned', run: (salt) => bench.nix('tuned', workload, salt) },
        ],
        bench.runs,
        bench.salt,
        bench.told,
      );
      const timesBound = (runs: readonly number[]) => runs.map((run) => run / bound);
      const figures: Figure[] = [
        figure(name, `${title}, a host at half speed, times the bound`, 'x', timesBound(mesh), {
          required: REQUIRED_TIMES_BOUND,
          bound: 1,
          rivals: { [RIVALS.tuned]: timesBound(tuned) },
        }),
        figure(`${name}-wall`, `${title}, a host at half speed`, 's', mesh, {
          bound,
          rivals: { [RIVALS.tuned]: tuned },
        }),
        figure(`${name}-first`, `${title}, a host at half speed, with no times known`, 's', [first.seconds], {
          bound,
        }),
      ];
      if (beatsNix) {
        const shares = mesh.map((seconds, run) => seconds / tuned[run]!);
        figures.push(
          figure(`${name}-of-tuned`, `${title}, a host at half speed, of what tuned Nix takes`, 'x', shares, {
            required: REQUIRED_OF_TUNED,
          }),
        );
      }
      if (homeIdle.length > 0)
        figures.push(
          figure(`${name}-home-idle`, `${title}, home's slots idle in vain`, 'times', homeIdle, {
            required: 0,
          }),
        );
      return figures;
    },
  };
}

async function argumentsFor(bench: BenchLab, graph: RecordedGraph, scale: number): Promise<string[]> {
  const file = `/root/${graph.name}-paced.json`;
  await bench.home.writeFile(file, JSON.stringify(graph));
  return ['--argstr', 'file', file, '--argstr', 'scale', String(scale), '--argstr', 'pace', PACE_FILE];
}

/** What machines of different speed cost: the slow one must help where it does, and stay out of the way where it does not. */
export const HALF_SPEED: readonly Scenario[] = [
  halfSpeed('half-wide', '60 builds of 1 s', { graph: () => wideGraph(60, 1), scale: 1, beatsNix: true }),
  halfSpeed('half-hello', 'the recorded graph of hello', {
    graph: () => recordedGraph('hello'),
    scale: 0.002,
    beatsNix: false,
  }),
  halfSpeed('half-git', 'the recorded graph of git, 877 derivations', {
    graph: () => recordedGraph('git'),
    scale: 0.001,
    beatsNix: false,
  }),
];
