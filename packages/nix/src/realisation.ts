import { createHash } from 'node:crypto';
import { encodeBase32 } from './base32.ts';
import { textPath } from './content-address.ts';
import { type Derivation, printDerivation } from './derivation.ts';
import { parseStorePath } from './store-path.ts';

/**
 * What a content-addressed output came to: Nix finds it again by the derivation, with all its inputs resolved, that made it.
 * Sources: NixOS/nix src/libstore/realisation.hh (2.4 to 2.34: by hash; 2.35: by path).
 */
export interface Realisation {
  /** Base-16 SHA-256 of the derivation without its output paths. */
  readonly derivationHash: string;
  readonly derivationPath: string;
  readonly outputName: string;
  readonly outPath: string;
}

/**
 * What stands in a derivation for the path of an output that is known only when it is built.
 * Source: NixOS/nix src/libstore/downstream-placeholder.cc, `DownstreamPlaceholder::unknownCaOutput`.
 */
export function outputPlaceholder(drvPath: string, outputName: string): string {
  const { hashPart, name } = parseStorePath(drvPath);
  const drvName = name.replace(/\.drv$/, '');
  const pathName = outputName === 'out' ? drvName : `${drvName}-${outputName}`;
  return `/${encodeBase32(sha256(`nix-upstream-output:${hashPart}:${pathName}`))}`;
}

/**
 * The derivation with the paths its inputs came to in place of the inputs, as Nix makes it before it builds on content-addressed
 * ones; undefined while one of them has no path. Source: NixOS/nix src/libstore/derivations.cc, `Derivation::tryResolve`.
 */
export function withInputsResolved(
  drv: Derivation,
  pathOf: (drvPath: string, outputName: string) => string | undefined,
): Derivation | undefined {
  const sources = new Set(drv.inputSrcs);
  const paths = new Map<string, string>();
  for (const [drvPath, outputNames] of drv.inputDrvs) {
    for (const name of outputNames) {
      const path = pathOf(drvPath, name);
      if (path === undefined) return undefined;
      sources.add(path);
      paths.set(outputPlaceholder(drvPath, name), path);
    }
  }
  const rewrite = (text: string): string =>
    text.replaceAll(PLACEHOLDER, (placeholder) => paths.get(placeholder) ?? placeholder);
  const env = [...drv.env].map(([name, value]) => [rewrite(name), rewrite(value)] as const);
  return {
    outputs: drv.outputs,
    inputDrvs: new Map(),
    inputSrcs: [...sources].sort(),
    system: drv.system,
    builder: rewrite(drv.builder),
    args: drv.args.map(rewrite),
    env: new Map(env),
  };
}

/**
 * Base-16 SHA-256 of a derivation whose inputs are resolved, without its output paths.
 * Source: NixOS/nix src/libstore/derivations.cc, `hashDerivationModulo` with `maskOutputs`.
 */
export function hashWithoutPaths(drv: Derivation): string {
  const env = new Map([...drv.env].map(([name, value]) => [name, drv.outputs.has(name) ? '' : value]));
  return sha256(printDerivation({ ...drv, env })).toString('hex');
}

/** @param drv a floating content-addressed derivation whose inputs are resolved */
export function realisations(
  drvPath: string,
  drv: Derivation,
  outputs: ReadonlyMap<string, string>,
): Realisation[] {
  const derivationHash = hashWithoutPaths(drv);
  const bytes = printDerivation(drv);
  const derivationPath = textPath(parseStorePath(drvPath).name, bytes, drv.inputSrcs);
  return [...outputs].map(([outputName, outPath]) => ({
    derivationHash,
    derivationPath,
    outputName,
    outPath,
  }));
}

/** 52 digits of SHA-256 in Nix's base 32. */
const PLACEHOLDER = /\/[0-9a-df-np-sv-z]{52}/g;

function sha256(text: string | Uint8Array): Buffer {
  return createHash('sha256').update(text).digest();
}
