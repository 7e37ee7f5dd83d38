import type { Derivation, DerivationOutput } from './derivation.ts';

/** A derivation whose inputs are store paths only: what a daemon's BuildDerivation takes. */
export interface BasicDerivation {
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
  readonly inputSrcs: readonly string[];
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
}

/**
 * Replaces the input derivations by the paths they made.
 *
 * `inputPaths` is the whole closure of the inputs used (`build-remote` sends the same): the sandbox of the building
 * daemon shows exactly these. A derivation without input derivations is kept as it is, because its content address,
 * where it has one, depends on `inputSrcs`.
 */
export function resolveDerivation(drv: Derivation, inputPaths: Iterable<string>): BasicDerivation {
  const inputs = drv.inputDrvs.size === 0 ? drv.inputSrcs : [...drv.inputSrcs, ...inputPaths];
  return {
    outputs: drv.outputs,
    inputSrcs: [...new Set(inputs)].sort(),
    system: drv.system,
    builder: drv.builder,
    args: drv.args,
    env: drv.env,
  };
}
