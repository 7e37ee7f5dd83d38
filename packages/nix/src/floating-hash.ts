import type { BasicDerivation } from './basic-derivation.ts';
import { hashWithoutPaths } from './realisation.ts';

/**
 * The hash, in base 16, by which Nix remembers what the outputs of a derivation turned out to be (`sha256:<hash>!out`), where their paths
 * are known only after the build. Undefined for all others: what it is there depends on the input derivations, which are not at hand.
 */
export function floatingHash(derivation: BasicDerivation): string | undefined {
  const outputs = [...derivation.outputs.values()];
  if (!outputs.every(({ path, hashAlgo, hash }) => path === '' && hashAlgo !== '' && hash === ''))
    return undefined;
  return hashWithoutPaths({
    ...derivation,
    outputs: new Map(derivation.outputs),
    inputDrvs: new Map(),
    inputSrcs: [...derivation.inputSrcs],
    args: [...derivation.args],
    env: new Map(derivation.env),
  });
}
