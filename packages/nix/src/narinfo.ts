import { encodeBase32 } from './base32.ts';
import { NixError, quote } from './errors.ts';
import { type PathDescription, parseSha256, sortedPaths } from './path-info.ts';
import { basenameOf, isStorePath, STORE_DIR } from './store-path.ts';

/** A binary cache's description of a path: what is signed, and where its NAR is. */
export interface NarInfo extends PathDescription {
  /** Relative to the cache, or absolute. */
  readonly url: string;
  /** `none`, `xz`, `zstd`, …; `bzip2` where the cache does not say. */
  readonly compression: string;
  /** SHA-256 of the compressed file: 32 bytes. */
  readonly fileHash?: Uint8Array;
  /** Bytes of the compressed file. */
  readonly fileSize?: number;
}

/** A narinfo is some hundred bytes; one with thousands of references stays far below this. */
export const MAX_NARINFO_BYTES = 4 * 1024 * 1024;

/** Fields that may stand more than once. */
const REPEATABLE = 'Sig';
/** Written for paths whose deriver is not known, by old versions of Nix. */
const UNKNOWN_DERIVER = 'unknown-deriver';

/**
 * Reads a `.narinfo`. Unknown fields are ignored.
 * Source: NixOS/nix src/libstore/nar-info.cc.
 * @throws NixError NIX_BAD_NARINFO
 */
export function parseNarInfo(text: string): NarInfo {
  if (text.length > MAX_NARINFO_BYTES) throw bad(`it is larger than ${MAX_NARINFO_BYTES} bytes`);
  const fields = new Map<string, string>();
  const signatures: string[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, name, value] = /^([^:\s]+): ?(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw bad(`the line ${quote(line)} is no field`);
    if (name === REPEATABLE) signatures.push(value);
    else if (fields.has(name)) throw bad(`it has ${quote(name)} twice`);
    else fields.set(name, value);
  }
  const required = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined || value === '') throw bad(`it has no ${name}`);
    return value;
  };
  const path = required('StorePath');
  if (!isStorePath(path)) throw bad(`its StorePath is ${quote(path)}`);
  const deriver = fields.get('Deriver');
  const fileHash = fields.get('FileHash');
  const fileSize = fields.get('FileSize');
  const ca = fields.get('CA');
  return {
    path,
    url: required('URL'),
    compression: fields.get('Compression') || 'bzip2',
    ...(fileHash === undefined ? {} : { fileHash: hash('FileHash', fileHash) }),
    ...(fileSize === undefined ? {} : { fileSize: size('FileSize', fileSize) }),
    narHash: hash('NarHash', required('NarHash')),
    narSize: size('NarSize', required('NarSize')),
    references: sortedPaths((fields.get('References') ?? '').split(' ').filter(Boolean).map(fullPath)),
    ...(deriver === undefined || deriver === '' || deriver === UNKNOWN_DERIVER
      ? {}
      : { deriver: fullPath(deriver) }),
    signatures,
    ...(ca === undefined || ca === '' ? {} : { ca }),
  };
}

/** Writes a `.narinfo`, fields in the order Nix writes them. */
export function printNarInfo(info: NarInfo): string {
  const lines = [
    `StorePath: ${info.path}`,
    `URL: ${info.url}`,
    `Compression: ${info.compression}`,
    ...(info.fileHash === undefined ? [] : [`FileHash: sha256:${encodeBase32(info.fileHash)}`]),
    ...(info.fileSize === undefined ? [] : [`FileSize: ${info.fileSize}`]),
    `NarHash: sha256:${encodeBase32(info.narHash)}`,
    `NarSize: ${info.narSize}`,
    `References: ${sortedPaths(info.references).map(basenameOf).join(' ')}`,
    ...(info.deriver === undefined ? [] : [`Deriver: ${basenameOf(info.deriver)}`]),
    ...info.signatures.map((signature) => `Sig: ${signature}`),
    ...(info.ca === undefined ? [] : [`CA: ${info.ca}`]),
  ];
  if (lines.some((line) => line.includes('\n'))) throw bad('one of its fields has a line break');
  return `${lines.join('\n')}\n`;
}

function fullPath(basename: string): string {
  const path = `${STORE_DIR}/${basename}`;
  if (!isStorePath(path)) throw bad(`it names ${quote(basename)}, which is no store path`);
  return path;
}

function hash(field: string, text: string): Uint8Array {
  try {
    return parseSha256(text);
  } catch (error) {
    // A bad hash is one more thing wrong with this narinfo.
    if (error instanceof NixError) throw bad(`its ${field} is ${quote(text)}`);
    throw error;
  }
}

function size(field: string, text: string): number {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw bad(`its ${field} is ${quote(text)}`);
  return value;
}

function bad(problem: string): NixError {
  return new NixError('NIX_BAD_NARINFO', `The description of the path (narinfo) is not usable: ${problem}.`);
}
