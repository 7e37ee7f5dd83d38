import type { BasicDerivation } from '../basic-derivation.ts';
import { NixError, quote } from '../errors.ts';
import type { PathDescription } from '../path-info.ts';
import type { Realisation } from '../realisation.ts';
import { basenameOf, isHashPart, parseStorePath } from '../store-path.ts';
import { Operation } from './constants.ts';
import { WireWriter } from './wire-writer.ts';

export type BuildMode = 'normal' | 'repair' | 'check';

/** Wanted paths: a store path, or a `.drv` with outputs (`….drv^out,dev`, `….drv^*`; `!` works as well as `^`). */
export type DerivedPath = string;

/** How the daemon is to work for this connection; see nix.conf(5). Restricted settings need a trusted user. */
export interface DaemonOptions {
  readonly keepFailed?: boolean;
  readonly keepGoing?: boolean;
  readonly tryFallback?: boolean;
  /** 0 error … 3 info (default) … 7 vomit: which of the daemon's own messages are sent. */
  readonly verbosity?: number;
  /** Builds at once on this connection; default 1. */
  readonly maxBuildJobs?: number;
  /** Seconds without output before a build is stopped; 0 (default) is never. */
  readonly maxSilentTimeSeconds?: number;
  /** `NIX_BUILD_CORES`; 0 (default) is all. */
  readonly buildCores?: number;
  /** Default true. */
  readonly useSubstitutes?: boolean;
  /**
   * Any other settings by name, e.g. `{ builders: '' }` to keep the daemon from handing builds on. `{ 'min-free': '1' }`
   * makes a building daemon look up every ten seconds, so that it cannot miss the end of the connection for longer
   * (where nix.conf sets no `min-free` of its own, which does the same).
   */
  readonly overrides?: Readonly<Record<string, string>>;
}

const VERBOSITY_INFO = 3;
/** With any other value log lines come as the daemon's own messages, without their activity. */
const BUILD_LOG_AS_RESULTS = 7;

const MODES: Readonly<Record<BuildMode, number>> = { normal: 0, repair: 1, check: 2 };

export function setOptionsRequest(options: DaemonOptions): Uint8Array {
  return new WireWriter()
    .u64(Operation.SetOptions)
    .flag(options.keepFailed ?? false)
    .flag(options.keepGoing ?? false)
    .flag(options.tryFallback ?? false)
    .u64(options.verbosity ?? VERBOSITY_INFO)
    .u64(options.maxBuildJobs ?? 1)
    .u64(options.maxSilentTimeSeconds ?? 0)
    .flag(true) // use the build hook; obsolete
    .u64(BUILD_LOG_AS_RESULTS)
    .u64(0) // log type; obsolete
    .u64(0) // print build trace; obsolete
    .u64(options.buildCores ?? 0)
    .flag(options.useSubstitutes ?? true)
    .pairs(new Map(Object.entries(options.overrides ?? {})))
    .take();
}

/** For operations without arguments. */
export function plainRequest(operation: number): Uint8Array {
  return new WireWriter().u64(operation).take();
}

/** For operations with a store path as their only argument. */
export function pathRequest(operation: number, path: string): Uint8Array {
  return new WireWriter().u64(operation).storePath(path).take();
}

/** @throws NixError NIX_BAD_STORE_PATH for what is no hash part: the daemon would end the connection */
export function hashPartRequest(operation: number, hashPart: string): Uint8Array {
  if (!isHashPart(hashPart)) {
    throw new NixError('NIX_BAD_STORE_PATH', `${quote(hashPart)} is not the hash part of a store path.`);
  }
  return textRequest(operation, hashPart);
}

/** For operations with any other text as their only argument. */
export function textRequest(operation: number, text: string): Uint8Array {
  return new WireWriter().u64(operation).string(text).take();
}

export function queryValidPathsRequest(paths: readonly string[], substitute: boolean): Uint8Array {
  return new WireWriter().u64(Operation.QueryValidPaths).storePaths(paths).flag(substitute).take();
}

/** Every path goes with a content address, empty where it has none. */
export function querySubstitutablePathInfosRequest(paths: readonly string[]): Uint8Array {
  const request = new WireWriter().u64(Operation.QuerySubstitutablePathInfos).u64(paths.length);
  for (const path of paths) request.storePath(path).string('');
  return request.take();
}

export function queryMissingRequest(wanted: readonly DerivedPath[]): Uint8Array {
  return new WireWriter().u64(Operation.QueryMissing).strings(wanted.map(wireDerivedPath)).take();
}

export function buildPathsRequest(wanted: readonly DerivedPath[], mode: BuildMode): Uint8Array {
  return new WireWriter()
    .u64(Operation.BuildPathsWithResults)
    .strings(wanted.map(wireDerivedPath))
    .u64(MODES[mode])
    .take();
}

export function buildDerivationRequest(drvPath: string, drv: BasicDerivation, mode: BuildMode): Uint8Array {
  const request = new WireWriter(16 * 1024)
    .u64(Operation.BuildDerivation)
    .storePath(drvPath)
    .u64(drv.outputs.size);
  for (const [name, output] of drv.outputs) {
    request.string(name).string(output.path).string(output.hashAlgo).string(output.hash);
  }
  return request
    .storePaths(drv.inputSrcs)
    .string(drv.system)
    .string(drv.builder)
    .strings(drv.args)
    .pairs(drv.env)
    .u64(MODES[mode])
    .take();
}

export interface AddOptions {
  /** Replace a path that is there. */
  readonly repair?: boolean;
  /** Take unsigned paths; only trusted users may. */
  readonly dontCheckSigs?: boolean;
}

/** What can be added: the two facts only a store knows may be left out. */
export type AddedPath = PathDescription & { readonly registrationTime?: number; readonly ultimate?: boolean };

export function addToStoreNarRequest(info: AddedPath, options: AddOptions): Uint8Array {
  const request = new WireWriter().u64(Operation.AddToStoreNar);
  writePathInfo(request, info);
  return request
    .flag(options.repair ?? false)
    .flag(options.dontCheckSigs ?? false)
    .take();
}

export function addMultipleToStoreRequest(options: AddOptions): Uint8Array {
  return new WireWriter()
    .u64(Operation.AddMultipleToStore)
    .flag(options.repair ?? false)
    .flag(options.dontCheckSigs ?? false)
    .take();
}

export function addSignaturesRequest(path: string, signatures: readonly string[]): Uint8Array {
  return new WireWriter().u64(Operation.AddSignatures).storePath(path).strings(signatures).take();
}

/** @param byPath whether the daemon names the derivation by its path (Nix 2.35), not by its hash */
export function registerDrvOutputRequest(realisation: Realisation, byPath: boolean): Uint8Array {
  const { derivationHash, derivationPath, outputName, outPath } = realisation;
  const writer = new WireWriter().u64(Operation.RegisterDrvOutput);
  if (byPath) return writer.storePath(derivationPath).string(outputName).storePath(outPath).u64(0).take();
  const id = `sha256:${derivationHash}!${outputName}`;
  const fields = { dependentRealisations: {}, id, outPath: basenameOf(outPath), signatures: [] };
  return writer.string(JSON.stringify(fields)).take();
}

/** A path info with its path, as protocol 1.16 has it: the layout of every version since. */
export function writePathInfo(writer: WireWriter, info: AddedPath): WireWriter {
  return writer
    .storePath(info.path)
    .string(info.deriver ?? '')
    .string(Buffer.from(info.narHash).toString('hex'))
    .storePaths(info.references)
    .u64(info.registrationTime ?? 0)
    .u64(info.narSize)
    .flag(info.ultimate ?? false)
    .strings(info.signatures)
    .string(info.ca ?? '');
}

/** The protocol separates outputs by `!`, people write `^`. */
function wireDerivedPath(wanted: DerivedPath): string {
  const [, path, outputs] = /^([^!^]*)(?:[!^](.*))?$/s.exec(wanted)!;
  parseStorePath(path!);
  return outputs === undefined ? wanted : `${path}!${outputs}`;
}
