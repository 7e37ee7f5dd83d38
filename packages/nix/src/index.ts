/** Everything about Nix: store paths, `.drv` files, NARs, signatures, the daemon's protocol, running `nix`. */
export * from './base32.ts';
export * from './basic-derivation.ts';
export { isContentAddressed } from './content-address.ts';
export * from './copy.ts';
export * from './daemon/index.ts';
export * from './daemon-server/index.ts';
export * from './derivation.ts';
export * from './derivation-files.ts';
export * from './derivation-options.ts';
export { NixError, type NixErrorCode, stripAnsi } from './errors.ts';
export {
  flakeDerivations,
  type InstantiateOptions,
  nixInstantiate,
  type WantedDerivation,
} from './evaluation.ts';
export * from './nar.ts';
export { type LayoutFiles, type LayoutOptions, NarLayout, type NarPart } from './nar-layout.ts';
export { MAX_NAR_DEPTH, type NarHandler, NarParser } from './nar-parser.ts';
export * from './narinfo.ts';
export { type Environment, findNix, type NixPrograms, type RunOptions } from './nix-process.ts';
export * from './path-info.ts';
export { outputPlaceholder, type Realisation, realisations, withInputsResolved } from './realisation.ts';
export * from './signature.ts';
export * from './store-path.ts';
export { type NixSystemInfo, nixVersion, systemInfo } from './system-info.ts';
