import { join } from 'node:path';
import { repositoryRoot } from '@mesh/lab';

/** A Nix expression to build; both `mesh build` and `nix-build` get it with the same words. */
export interface Workload {
  /** On the home. */
  readonly file: string;
  readonly attribute?: string;
  /** `--arg` and `--argstr` with their values. */
  readonly args?: readonly string[];
}

export function workloadFile(name: string): string {
  return join(repositoryRoot, 'test/workloads', name);
}

/** What both commands share: a salt makes every path of the workload new, so that nothing is there already. */
export function workloadArgs({ args = [] }: Workload, salt: string): string[] {
  return [...args, '--argstr', 'salt', salt];
}
