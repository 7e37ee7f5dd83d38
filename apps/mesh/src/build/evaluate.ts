import type { Derivation } from '@mesh/nix';
import { CliError, EXIT } from '../errors.ts';
import type { Installable, OutputSelection } from './installable.ts';

/** How Nix evaluates, reduced to what the command needs; `nix-evaluator.ts` is the real one. */
export interface Evaluator {
  /** The derivations of these attributes, each as soon as it is known. */
  instantiate(attributes: readonly string[], signal: AbortSignal): AsyncIterable<Evaluated>;
  /** The same for one flake reference. */
  flake(reference: string, signal: AbortSignal): AsyncIterable<Evaluated>;
  readDerivation(drvPath: string): Promise<Derivation>;
}

/** A derivation and the outputs it installs by default; none named means all. */
export interface Evaluated {
  drvPath: string;
  outputs: readonly string[];
}

/** A derivation that the user asked for, with the names of the outputs wanted. */
export interface WantedDerivation {
  drvPath: string;
  outputs: string[];
  /** Paths by output name where the `.drv` tells them; content-addressed outputs have none before they are built. */
  outputPaths: Map<string, string>;
}

/**
 * Yields what the installables stand for, in their order, while Nix still evaluates. Throws Nix's own message where evaluation
 * fails, `NIX_UNREADABLE_DERIVATION` or `NIX_BAD_DERIVATION` for a `.drv` that cannot be read, `MESH_NO_SUCH_OUTPUT`.
 */
export async function* evaluate(
  installables: readonly Installable[],
  evaluator: Evaluator,
  signal: AbortSignal,
): AsyncGenerator<WantedDerivation, void, undefined> {
  for (const { evaluated, outputs } of groups(installables, evaluator, signal)) {
    for await (const { drvPath, outputs: installed } of evaluated) {
      const derivation = await evaluator.readDerivation(drvPath);
      const selection = outputs === 'default' ? installed : outputs === 'all' ? [] : outputs;
      yield { drvPath, ...chooseOutputs(drvPath, derivation, selection) };
    }
  }
}

interface Group {
  evaluated: AsyncIterable<Evaluated> | Iterable<Evaluated>;
  outputs: OutputSelection;
}

/** Attributes go to one evaluation together, because each evaluation reads its file (nixpkgs, say) anew. */
function* groups(
  installables: readonly Installable[],
  evaluator: Evaluator,
  signal: AbortSignal,
): Generator<Group> {
  let i = 0;
  while (i < installables.length) {
    const installable = installables[i]!;
    const { outputs } = installable;
    i += 1;
    if (installable.type === 'derivation')
      yield { evaluated: [{ drvPath: installable.drvPath, outputs: [] }], outputs };
    else if (installable.type === 'flake')
      yield { evaluated: evaluator.flake(installable.reference, signal), outputs };
    else {
      const attributes = installable.attribute === undefined ? [] : [installable.attribute];
      for (
        let next = installables[i];
        outputs === 'default' && i < installables.length;
        next = installables[i]
      ) {
        if (next?.type !== 'attribute' || next.attribute === undefined || next.outputs !== 'default') break;
        attributes.push(next.attribute);
        i += 1;
      }
      yield { evaluated: evaluator.instantiate(attributes, signal), outputs };
    }
  }
}

/** `selection`: names, none meaning all. */
function chooseOutputs(
  drvPath: string,
  derivation: Derivation,
  selection: readonly string[],
): Omit<WantedDerivation, 'drvPath'> {
  const names = [...derivation.outputs.keys()];
  const outputs = selection.length === 0 ? names : [...selection];
  const missing = outputs.find((name) => !derivation.outputs.has(name));
  if (missing !== undefined) {
    throw new CliError(
      'MESH_NO_SUCH_OUTPUT',
      EXIT.failure,
      `${drvPath} has no output "${missing}"; its outputs are ${names.join(', ')}.`,
    );
  }
  const paths = [...derivation.outputs].flatMap(([name, { path }]) =>
    path === '' || !outputs.includes(name) ? [] : [[name, path] as const],
  );
  return { outputs, outputPaths: new Map(paths) };
}
