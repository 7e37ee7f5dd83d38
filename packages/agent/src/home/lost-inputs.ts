import type { Holders } from './holders.ts';
import type { Plans } from './plans.ts';
import type { Runs } from './runs.ts';

/** What follows from inputs being lost. */
export interface LostInputs {
  /** Derivations to build again: they were built for a job. */
  readonly rebuild: readonly string[];
  /** Passes that go no further, because what members had was left out of their plans: their jobs plan anew. */
  readonly replan: readonly string[];
}

/** Takes in that no member could give these inputs of a derivation to a worker. */
export function noteLost(
  drvPath: string,
  paths: readonly string[],
  { holders, plans, runs }: { holders: Holders; plans: Plans; runs: Runs },
): LostInputs {
  const rebuild: string[] = [];
  for (const path of paths) {
    const said = holders.of(path);
    holders.dropPath(path);
    const producer = plans.producerOf(path);
    if (producer !== undefined) {
      rebuild.push(producer);
      continue;
    }
    for (const [, run] of runs.entries())
      if (run.held.has(path) && run.job.timelines.has(drvPath)) run.lost.set(path, said);
  }
  const cut = runs.entries().filter(([, run]) => run.lost.size > 0);
  return { rebuild, replan: cut.map(([runId]) => runId) };
}
