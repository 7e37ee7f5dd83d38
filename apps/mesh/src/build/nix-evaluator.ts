import { join } from 'node:path';
import type { Evaluator } from './evaluate.ts';

export interface NixEvaluatorInit {
  /** `-f FILE`; undefined where no attribute is asked for. */
  file: string | undefined;
  /** `--arg`, by name: Nix expressions. */
  args: Record<string, string>;
  /** `--argstr`, by name: strings. */
  argstrs: Record<string, string>;
  cwd: string;
  /** A folder for links that keep what `-f` evaluates to from garbage collection. */
  rootsDir?: string;
}

/**
 * Evaluation by Nix's own commands, as the user who runs this one. Of @mesh/nix only what starts Nix is loaded first; what reads
 * derivations is loaded while Nix evaluates.
 */
export async function createNixEvaluator(init: NixEvaluatorInit): Promise<Evaluator> {
  const { file, args, argstrs, cwd, rootsDir } = init;
  const { nixInstantiate, flakeDerivations } = await import('@mesh/nix/evaluation');
  let evaluations = 0;
  return {
    instantiate(attributes, signal) {
      if (file === undefined) throw new Error('an attribute without a file');
      evaluations += 1;
      const roots = rootsDir === undefined ? {} : { rootLink: join(rootsDir, `drv-${evaluations}`) };
      return nixInstantiate({ file, attrs: attributes, args, argstrs, cwd, signal, ...roots });
    },
    flake: (reference, signal) => flakeDerivations([reference], { cwd, signal }),
    async readDerivation(drvPath) {
      const { readDerivation } = await import('@mesh/nix/derivation-files');
      return readDerivation(drvPath);
    },
  };
}
