import { NixError, stripAnsi } from '../errors.ts';
import { type PathInfo, parseSha256, sortedPaths } from '../path-info.ts';
import { isStorePath, storePathOf } from '../store-path.ts';
import type { Handshake } from './connection.ts';
import { FEATURE_REALISATION_WITH_PATH, MINOR_WITH_CPU_TIMES } from './constants.ts';
import { protocolError, type WireReader } from './wire-reader.ts';

/** By Nix's numbers (`src/libstore/common-protocol.cc`); 7 was never sent. */
const STATUSES = [
  'built',
  'substituted',
  'already-valid',
  'permanent-failure',
  'input-rejected',
  'output-rejected',
  'transient-failure',
  'cached-failure',
  'timed-out',
  'misc-failure',
  'dependency-failed',
  'log-limit-exceeded',
  'not-deterministic',
  'resolves-to-already-valid',
  'no-substituters',
] as const;

export type BuildStatus = (typeof STATUSES)[number];

const SUCCESSES: ReadonlySet<BuildStatus> = new Set<BuildStatus>([
  'built',
  'substituted',
  'already-valid',
  'resolves-to-already-valid',
]);

export function isSuccess(status: BuildStatus): boolean {
  return SUCCESSES.has(status);
}

export interface BuildResult {
  readonly status: BuildStatus;
  /** Nix's words, without colours; '' for a success. */
  readonly errorMsg: string;
  /** Seconds since 1970; 0 where nothing was built. */
  readonly startTime: number;
  readonly stopTime: number;
  /** Processor time of the build, where the daemon measures it (2.20 and newer, with cgroups). */
  readonly cpuUserMs?: number;
  readonly cpuSystemMs?: number;
  /** Output name → store path. */
  readonly builtOutputs: Map<string, string>;
}

/** What a set of wanted paths lacks. */
export interface Missing {
  readonly willBuild: string[];
  readonly willSubstitute: string[];
  readonly unknown: string[];
  /** Bytes to download and bytes they unpack to. */
  readonly downloadSize: number;
  readonly narSize: number;
}

/** The fields of a path info after its path; layout unchanged since 1.16. */
export async function readPathInfo(reader: WireReader, path: string): Promise<PathInfo> {
  const deriver = await reader.string();
  if (deriver !== '' && !isStorePath(deriver)) throw protocolError('a deriver that is not a store path');
  const narHash = readHash(await reader.string(128));
  const references = sortedPaths(await reader.storePaths());
  const registrationTime = await reader.u64();
  const narSize = await reader.u64();
  const ultimate = await reader.flag();
  const signatures = await reader.strings();
  const ca = await reader.string();
  return {
    path,
    ...(deriver === '' ? {} : { deriver }),
    narHash,
    narSize,
    references,
    registrationTime,
    ultimate,
    signatures,
    ...(ca === '' ? {} : { ca }),
  };
}

export async function readBuildResult(reader: WireReader, handshake: Handshake): Promise<BuildResult> {
  const status = STATUSES[await reader.u64()];
  if (status === undefined) throw protocolError('an unknown build status');
  const errorMsg = stripAnsi(await reader.string());
  // How often it was built and whether that differed: part of --repeat, which is gone.
  await reader.u64();
  await reader.flag();
  const startTime = await reader.u64();
  const stopTime = await reader.u64();
  const withCpu = handshake.protocol.minor >= MINOR_WITH_CPU_TIMES;
  const cpuUserMs = withCpu ? await readMilliseconds(reader) : undefined;
  const cpuSystemMs = withCpu ? await readMilliseconds(reader) : undefined;
  const builtOutputs = handshake.features.has(FEATURE_REALISATION_WITH_PATH)
    ? await readOutputs(reader)
    : await readRealisations(reader);
  return {
    status,
    errorMsg,
    startTime,
    stopTime,
    ...(cpuUserMs === undefined ? {} : { cpuUserMs }),
    ...(cpuSystemMs === undefined ? {} : { cpuSystemMs }),
    builtOutputs,
  };
}

/** What a substituter says of a path. */
export interface SubstitutableInfo {
  readonly path: string;
  readonly references: readonly string[];
  /** Bytes to download; 0 where the substituter does not say. */
  readonly downloadBytes: number;
  /** Bytes it unpacks to; 0 where the substituter does not say. */
  readonly narBytes: number;
}

export async function readSubstitutableInfos(reader: WireReader): Promise<SubstitutableInfo[]> {
  const infos: SubstitutableInfo[] = [];
  for (let left = await reader.count(); left > 0; left--) {
    const path = await reader.storePath();
    // The deriver: substituters need not know it, and nothing here asks for it.
    await reader.string();
    const references = await reader.storePaths();
    infos.push({ path, references, downloadBytes: await reader.u64(), narBytes: await reader.u64() });
  }
  return infos;
}

export async function readMissing(reader: WireReader): Promise<Missing> {
  return {
    willBuild: await reader.storePaths(),
    willSubstitute: await reader.storePaths(),
    unknown: await reader.storePaths(),
    downloadSize: await reader.u64(),
    narSize: await reader.u64(),
  };
}

async function readMilliseconds(reader: WireReader): Promise<number | undefined> {
  return (await reader.flag()) ? (await reader.u64()) / 1000 : undefined;
}

async function readOutputs(reader: WireReader): Promise<Map<string, string>> {
  const outputs = new Map<string, string>();
  for (let left = await reader.count(); left > 0; left--) {
    const name = await reader.string();
    outputs.set(name, await reader.storePath());
    await reader.strings();
  }
  return outputs;
}

/** `sha256:…!out` → JSON with `outPath` as a base name: the form before the feature. */
async function readRealisations(reader: WireReader): Promise<Map<string, string>> {
  const outputs = new Map<string, string>();
  for (let left = await reader.count(); left > 0; left--) {
    const id = await reader.string();
    const realisation = await reader.string();
    const mark = id.indexOf('!');
    if (mark === -1) throw protocolError('a built output without a name');
    outputs.set(id.slice(mark + 1), outPathOf(realisation));
  }
  return outputs;
}

function outPathOf(realisation: string): string {
  try {
    const parsed: unknown = JSON.parse(realisation);
    if (typeof parsed === 'object' && parsed !== null && 'outPath' in parsed) {
      return storePathOf(String(parsed.outPath));
    }
  } catch (error) {
    // Not JSON, or no store path: both are the daemon's fault and reported below.
    if (!(error instanceof SyntaxError || error instanceof NixError)) throw error;
  }
  throw protocolError('a built output that cannot be read');
}

function readHash(text: string): Uint8Array {
  try {
    return parseSha256(text);
  } catch (error) {
    // A bad hash from the daemon is a protocol error, with the connection unusable after it.
    if (error instanceof NixError) throw protocolError('a hash that is no SHA-256');
    throw error;
  }
}
