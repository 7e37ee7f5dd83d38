import type { Evaluator } from './evaluate.ts';

export interface NixEvaluatorInit {
  /** `-f FILE`; undefined where no attribute is asked for. */
  file: string | undefined;
  /** `--arg`, by name: Nix expressions. */
  args: Record<string, string>;
  /** `--argstr`, by name: strings. */
  argstrs: Record<string, string>;
  cwd: string;
}

/** Evaluation by Nix's own commands, as the user who runs this one. @mesh/nix is loaded here and not at start-up. */
export async function createNixEvaluator({ file, args, argstrs, cwd }: NixEvaluatorInit): Promise<Evaluator> {
  const nix = await import('@mesh/nix');
  return {
    instantiate(attributes, signal) {
      if (file === undefined) throw new Error('an attribute without a file');
      return nix.nixInstantiate({ file, attrs: attributes, args, argstrs, cwd, signal });
    },
    flake: (reference, signal) => nix.flakeDerivations([reference], { cwd, signal }),
    readDerivation: (drvPath) => nix.readDerivation(drvPath),
  };
}
