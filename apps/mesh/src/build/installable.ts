import { usageError } from '../errors.ts';

/** Which outputs of a derivation are wanted: those it installs by default, all, or these. */
export type OutputSelection = 'default' | 'all' | readonly string[];

/** One thing to build, as it was named on the command line. */
export type Installable =
  | { type: 'derivation'; drvPath: string; outputs: OutputSelection }
  | { type: 'flake'; reference: string; outputs: OutputSelection }
  /** An attribute of the file; undefined is the file's whole value. */
  | { type: 'attribute'; attribute: string | undefined; outputs: OutputSelection };

/** Facts about the place where the command runs, so that the decision itself stays pure. */
export interface InstallableContext {
  /** `-f FILE`. */
  file: string | undefined;
  storeDir: string;
  /** Whether the working directory holds a `flake.nix`. */
  hasFlake: boolean;
}

const OUTPUT_NAME = /^[0-9A-Za-z+\-._?=]{1,211}$/;

/**
 * What the positional arguments mean, as `nix build` reads them: store paths of derivations in any case, attributes with
 * `-f FILE`, flake references without. Throws a usage error for what cannot be built.
 */
export function parseInstallables(args: readonly string[], context: InstallableContext): Installable[] {
  if (args.length > 0) return args.map((arg) => parseInstallable(arg, context));
  if (context.file !== undefined) return [{ type: 'attribute', attribute: undefined, outputs: 'default' }];
  if (context.hasFlake) return [{ type: 'flake', reference: '.', outputs: 'default' }];
  throw usageError(
    'There is nothing to build: name a flake reference or a .drv, or use -f FILE (there is no flake.nix in this directory).',
  );
}

function parseInstallable(arg: string, { file, storeDir }: InstallableContext): Installable {
  if (arg === '') throw usageError('An installable may not be empty.');
  const { base, outputs } = splitOutputs(arg);
  if (base.startsWith(`${storeDir}/`) && !base.includes('#')) {
    if (!base.endsWith('.drv')) {
      throw usageError(
        `${base} is a store path but not a derivation; name its .drv (\`nix path-info --derivation\`).`,
      );
    }
    return { type: 'derivation', drvPath: base, outputs: outputs ?? 'all' };
  }
  if (file !== undefined) return { type: 'attribute', attribute: base, outputs: outputs ?? 'default' };
  return { type: 'flake', reference: base, outputs: outputs ?? 'default' };
}

/** `x^out,dev` and `x^*`; a caret that no output names follow belongs to the reference. */
function splitOutputs(arg: string): { base: string; outputs: OutputSelection | undefined } {
  const caret = arg.lastIndexOf('^');
  if (caret <= 0) return { base: arg, outputs: undefined };
  const base = arg.slice(0, caret);
  const rest = arg.slice(caret + 1);
  if (rest === '*') return { base, outputs: 'all' };
  const names = rest.split(',');
  if (!names.every((name) => OUTPUT_NAME.test(name))) {
    throw usageError(`\`${arg}\` names no outputs after ^; write ^out,dev or ^*.`);
  }
  return { base, outputs: [...new Set(names)] };
}
