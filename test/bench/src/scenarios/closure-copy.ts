import type { Host } from '@mesh/lab';
import { ClosureLab, COPIERS, type Copier, type Cost } from '../closure-lab.ts';
import { contest } from '../contest.ts';
import { type Figure, type FigureOptions, figure } from '../figure.ts';
import { dropPaths } from '../made-paths.ts';
import type { Bench } from './scenario.ts';

type Contestant = 'mesh' | Copier;

/** A closure on the source, fresh each time. */
export type MakeClosure = (source: Host) => Promise<{ root: string; paths: readonly string[] }>;

const MIB = 2 ** 20;

export interface Copied {
  readonly costs: Readonly<Record<Contestant, readonly Cost[]>>;
  /** What the agents took of memory at most beyond what they had before, in MiB. */
  readonly memory: readonly number[];
}

/** Lets the mesh and every copier bring such a closure from one host to another. */
export async function copyByAll(bench: Bench, make: MakeClosure): Promise<Copied> {
  await using lab = await ClosureLab.up(2);
  const { source } = lab;
  const to = lab.lab.host('h2');
  const costs: Record<Contestant, Cost[]> = { mesh: [], 'ssh-ng': [], 'ssh-ng-push': [], ssh: [], http: [] };
  const memory: number[] = [];
  const one = async (name: Contestant): Promise<number> => {
    const { root, paths } = await make(source);
    if (name !== 'mesh') await lab.offer(name, root);
    const copy = () => (name === 'mesh' ? lab.warm(to, root) : lab.copy(name, to, root));
    let cost: Cost | undefined;
    const peaks = await lab.peaks([source, to], async () => {
      cost = await lab.cost(to, root, copy);
    });
    costs[name].push(cost!);
    if (name === 'mesh') memory.push(Math.max(...peaks) / MIB);
    if (name === 'http') await lab.withdraw();
    for (const host of [source, to]) await dropPaths(host, paths);
    return cost!.seconds;
  };
  const contestants = (['ssh-ng', 'mesh', 'ssh-ng-push', 'ssh', 'http'] as const).map((name) => ({
    name,
    run: () => one(name),
  }));
  await contest(contestants, bench.runs, bench.salt, bench.told);
  return { costs, memory };
}

/** Figures of one quantity: the mesh's as it is beside all rivals', and its share of that of `nix copy --from ssh-ng` in the same run. */
export function beside(
  name: string,
  title: string,
  { costs }: Copied,
  of: (cost: Cost) => number,
  { required }: Pick<FigureOptions, 'required'>,
): Figure[] {
  const mesh = costs.mesh.map(of);
  const rivals = Object.fromEntries(
    Object.entries(COPIERS).map(([copier, rival]) => [rival, costs[copier as Copier].map(of)]),
  );
  const shares = costs['ssh-ng'].map((cost, run) => mesh[run]! / of(cost));
  return [
    figure(name, title, 's', mesh, { rivals }),
    figure(`${name}-share`, `${title}, of what nix copy --from ssh-ng takes`, 'x', shares, {
      ...(required === undefined ? {} : { required }),
    }),
  ];
}
