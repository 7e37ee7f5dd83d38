import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { repositoryRoot } from '@mesh/lab';

/** Where a file of `test/workloads` stands, on every host of a lab too. */
export function workloadFile(name: string): string {
  return join(repositoryRoot, 'test/workloads', `${name}.nix`);
}

/**
 * Arguments of `mesh build` (and of `nix-build`, but for `-f`) for a file of `test/workloads`. Every call makes paths that nobody has;
 * keep the answer to name the same derivations again.
 */
export function workload(name: string, ...more: string[]): string[] {
  return ['-f', workloadFile(name), '--argstr', 'salt', randomBytes(6).toString('hex'), ...more];
}
