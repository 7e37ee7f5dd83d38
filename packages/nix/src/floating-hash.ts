import { createHash } from 'node:crypto';
import type { BasicDerivation } from './basic-derivation.ts';
import { printDerivation } from './derivation.ts';

/**
 * The hash, in base 16, by which Nix remembers what the outputs of a derivation turned out to be (`sha256:<hash>!out`), where their paths
 * are known only after the build. Undefined for all others: what it is there depends on the input derivations, which are not at hand.
 *
 * Source: NixOS/nix src/libstore/derivations.cc, `hashDerivationModulo` with `maskOutputs`: the SHA-256 of the `.drv` with the outputs'
 * own environment variables empty.
 */
export function floatingHash(derivation: BasicDerivation): string | undefined {
  const outputs = [...derivation.outputs.values()];
  if (!outputs.every(({ path, hashAlgo, hash }) => path === '' && hashAlgo !== '' && hash === ''))
    return undefined;
  const masked = printDerivation({
    outputs: new Map(derivation.outputs),
    inputDrvs: new Map(),
    inputSrcs: [...derivation.inputSrcs],
    system: derivation.system,
    builder: derivation.builder,
    args: [...derivation.args],
    env: new Map(
      [...derivation.env].map(([name, value]) => [name, derivation.outputs.has(name) ? '' : value] as const),
    ),
  });
  return createHash('sha256').update(masked).digest('hex');
}
