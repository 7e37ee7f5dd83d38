import type { BasicDerivation } from '../basic-derivation.ts';
import { FEATURE_REALISATION_WITH_PATH, Message, MINOR_WITH_CPU_TIMES } from '../daemon/constants.ts';
import { WireWriter } from '../daemon/wire-writer.ts';
import { floatingHash } from '../floating-hash.ts';
import type { PathInfo } from '../path-info.ts';
import { basenameOf } from '../store-path.ts';
import type { ClientBuildResult } from './handlers.ts';
import type { AgreedHandshake } from './handshake.ts';

/** Errors have a level, a name and positions (Nix 2.4). */
const MINOR_WITH_ERROR_FIELDS = 26;
/** The daemon tells its Nix version before its first message (Nix 2.6). */
const MINOR_WITH_NIX_VERSION = 33;

/** The end of what is told before an answer. */
export function lastMessage(): Buffer {
  return new WireWriter(16).u64(Message.Last).take();
}

/** An error in place of an answer, as Nix 2.4 and newer have it: level 0, without positions and traces. */
export function errorMessage(text: string): Buffer {
  return new WireWriter()
    .u64(Message.Error)
    .string('Error')
    .u64(0)
    .string('Error')
    .string(text)
    .u64(0)
    .u64(0)
    .take();
}

/** An error for a client in the middle of its handshake, which knows nothing newer than its own version. */
export function handshakeError(text: string, minor: number): Buffer {
  if (minor < MINOR_WITH_ERROR_FIELDS) return new WireWriter().u64(Message.Error).string(text).u64(1).take();
  const version = minor < MINOR_WITH_NIX_VERSION ? [] : [new WireWriter(16).string('').take()];
  return Buffer.concat([...version, errorMessage(text)]);
}

/** Source: NixOS/nix src/libstore/worker-protocol.cc, `Serialise<BuildResult>::write`. */
export function writeBuildResult(
  writer: WireWriter,
  result: ClientBuildResult,
  handshake: AgreedHandshake,
  derivationHash = NO_HASH,
): WireWriter {
  writer
    .u64(result.status)
    .string(result.errorMsg)
    .u64(result.status === 0 ? 1 : 0)
    .flag(false)
    .u64(Math.floor(result.startTimeS ?? 0))
    .u64(Math.floor(result.stopTimeS ?? 0));
  if (handshake.minor >= MINOR_WITH_CPU_TIMES) writer.flag(false).flag(false);
  const outputs = [...(result.outputs ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  writer.u64(outputs.length);
  for (const [name, path] of outputs) {
    if (handshake.features.has(FEATURE_REALISATION_WITH_PATH)) {
      writer.string(name).storePath(path).u64(0);
    } else {
      const id = `sha256:${derivationHash}!${name}`;
      writer.string(id).string(
        JSON.stringify({
          dependentRealisations: {},
          id,
          outPath: basenameOf(path),
          signatures: [],
        }),
      );
    }
  }
  return writer;
}

/** Of outputs whose path was known before the build clients take the name and the path, and no notice of the derivation's hash. */
const NO_HASH = '0'.repeat(64);

/** The answer to BuildDerivation. Clients remember where floating outputs are by the hash of their derivation. */
export function buildDerivationAnswer(
  derivation: BasicDerivation,
  result: ClientBuildResult,
  handshake: AgreedHandshake,
): Buffer {
  const writer = new WireWriter().u64(Message.Last);
  return writeBuildResult(writer, result, handshake, floatingHash(derivation)).take();
}

/** Results with their wanted paths, without the count before them. */
export function keyedResults(
  results: ReadonlyMap<string, ClientBuildResult>,
  handshake: AgreedHandshake,
): Buffer {
  const writer = new WireWriter();
  for (const [wanted, result] of results) writeBuildResult(writer.string(wanted), result, handshake);
  return writer.take();
}

/** The answer to QueryPathInfo for a path that there is. */
export function pathInfoAnswer(info: PathInfo): Buffer {
  return new WireWriter()
    .u64(Message.Last)
    .flag(true)
    .string(info.deriver ?? '')
    .string(Buffer.from(info.narHash).toString('hex'))
    .storePaths(info.references)
    .u64(info.registrationTime)
    .u64(info.narSize)
    .flag(info.ultimate)
    .strings(info.signatures)
    .string(info.ca ?? '')
    .take();
}

/** Statuses of `BuildResult` that are no failure: built, substituted, already valid, resolves to already valid. */
const SUCCESSES: ReadonlySet<number> = new Set([0, 1, 2, 13]);

/**
 * What BuildPaths says of results: undefined where nothing failed, else the error in Nix's words.
 * Source: NixOS/nix src/libstore/build/entry-points.cc, `Store::buildPaths`.
 */
export function failureOf(results: ReadonlyMap<string, ClientBuildResult>): string | undefined {
  const failed = [...results].filter(([, result]) => !SUCCESSES.has(result.status));
  const [first] = failed;
  if (first === undefined) return undefined;
  if (failed.length === 1 && first[1].errorMsg !== '') return first[1].errorMsg;
  return `build of ${failed.map(([wanted]) => `'${wanted}'`).join(', ')} failed`;
}
