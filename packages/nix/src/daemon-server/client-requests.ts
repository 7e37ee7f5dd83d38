import type { DaemonOptions } from '../daemon/requests.ts';
import type { DerivationOutput } from '../derivation.ts';
import { ByteReader } from './byte-reader.ts';
import type {
  BuildDerivationRequest,
  BuildPathsRequest,
  ClientBuildMode,
  ClientSettings,
} from './handlers.ts';

/** What a connection has before its client says SetOptions; clients over SSH never say it. */
export const UNSAID_SETTINGS: ClientSettings = {
  keepFailed: false,
  keepGoing: false,
  tryFallback: false,
  verbosity: 3,
  maxBuildJobs: 1,
  maxSilentTimeSeconds: 0,
  buildCores: 0,
  useSubstitutes: true,
  overrides: new Map(),
};

const MODES: readonly ClientBuildMode[] = ['normal', 'repair', 'check'];

/** Reads a whole SetOptions request. */
export function readSetOptions(request: Buffer): ClientSettings {
  const reader = new ByteReader(request, 8);
  const keepFailed = reader.flag();
  const keepGoing = reader.flag();
  const tryFallback = reader.flag();
  const verbosity = reader.u64();
  const maxBuildJobs = reader.u64();
  const maxSilentTimeSeconds = reader.u64();
  // Obsolete or of no use here: the build hook, how logs are shown, the type of log, tracing.
  for (let left = 4; left > 0; left--) reader.u64();
  const buildCores = reader.u64();
  const useSubstitutes = reader.flag();
  const overrides = readPairs(reader);
  return {
    keepFailed,
    keepGoing,
    tryFallback,
    verbosity,
    maxBuildJobs,
    maxSilentTimeSeconds,
    buildCores,
    useSubstitutes,
    overrides,
  };
}

/** Reads a whole BuildPaths or BuildPathsWithResults; undefined where its mode is none that is known. */
export function readBuildPaths(request: Buffer): Pick<BuildPathsRequest, 'wanted' | 'mode'> | undefined {
  const reader = new ByteReader(request, 8);
  const wanted = reader.strings();
  const mode = MODES[reader.u64()];
  return mode === undefined ? undefined : { wanted, mode };
}

/** Reads a whole BuildDerivation; undefined where its mode is none that is known. */
export function readBuildDerivation(
  request: Buffer,
): Pick<BuildDerivationRequest, 'drvPath' | 'derivation' | 'mode'> | undefined {
  const reader = new ByteReader(request, 8);
  const drvPath = reader.string();
  const outputs = new Map<string, DerivationOutput>(
    reader.list(() => [
      reader.string(),
      { path: reader.string(), hashAlgo: reader.string(), hash: reader.string() },
    ]),
  );
  const derivation = {
    outputs,
    inputSrcs: reader.strings(),
    system: reader.string(),
    builder: reader.string(),
    args: reader.strings(),
    env: readPairs(reader),
  };
  const mode = MODES[reader.u64()];
  return mode === undefined ? undefined : { drvPath, derivation, mode };
}

/** Reads a whole request whose only argument is a path. */
export function readPath(request: Buffer): string {
  return new ByteReader(request, 8).string();
}

/** Settings by name may run programs with the daemon's rights. */
export function withoutOverrides({ overrides: _, ...settings }: ClientSettings): DaemonOptions {
  return settings;
}

function readPairs(reader: ByteReader): Map<string, string> {
  return new Map(reader.list(() => [reader.string(), reader.string()]));
}
