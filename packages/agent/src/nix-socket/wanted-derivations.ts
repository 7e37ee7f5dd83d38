import type { BuildInput } from '@mesh/wire';

/** A derivation that a client wants built, and how it wrote that. */
export interface WantedDerivation {
  readonly text: string;
  readonly drvPath: string;
  /** Empty means all. */
  readonly outputs: readonly string[];
}

const BUILT = /^(\/nix\/store\/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}\.drv)!([^!]+)$/;
const OUTPUT = /^[0-9A-Za-z+\-._?=]{1,211}$/;

/**
 * The derivations among wanted paths, in the form `….drv!out,dev` or `….drv!*` of protocol 1.30 and newer. Anything else, store paths and
 * outputs of derivations that are themselves built, is none.
 */
export function wantedDerivations(wanted: readonly string[]): WantedDerivation[] {
  return wanted.flatMap((text): WantedDerivation[] => {
    const match = BUILT.exec(text);
    if (match === null) return [];
    const [, drvPath, names] = match as unknown as [string, string, string];
    if (names === '*') return [{ text, drvPath, outputs: [] }];
    const outputs = names.split(',');
    return outputs.every((name) => OUTPUT.test(name)) ? [{ text, drvPath, outputs }] : [];
  });
}

/** As a job takes them. */
export async function* buildInputs(wanted: readonly WantedDerivation[]): AsyncGenerator<BuildInput> {
  for (const { drvPath, outputs } of wanted) yield { type: 'derivation', drvPath, outputs: [...outputs] };
  yield { type: 'evaluated' };
}
