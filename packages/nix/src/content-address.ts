import { createHash } from 'node:crypto';
import { decodeBase32, encodeBase32 } from './base32.ts';
import { NixError } from './errors.ts';
import { type PathDescription, sortedPaths } from './path-info.ts';
import { parseStorePath, STORE_DIR } from './store-path.ts';

/** Digest sizes in bytes of the algorithms Nix knows; blake3 came with 2.27. */
const DIGEST_BYTES: Readonly<Record<string, number>> = {
  md5: 16,
  sha1: 20,
  sha256: 32,
  sha512: 64,
  blake3: 32,
};

/** A content address taken apart. */
interface ContentAddress {
  /** `text`, or how a file tree was hashed: '' the file alone, `r:` its NAR, `git:` as git does. */
  readonly method: 'text' | '' | 'r:' | 'git:';
  readonly algorithm: string;
  readonly digest: Uint8Array;
}

/**
 * Whether the path is the one that its content address, its name and its references give. Nobody's word is needed for such a path:
 * Nix compares the contents with the address when it takes them in.
 * Sources: Nix manual, "Complete Store Path Calculation"; NixOS/nix src/libstore/store-dir-config.hh, content-address.cc.
 */
export function isContentAddressed(info: Pick<PathDescription, 'path' | 'references' | 'ca'>): boolean {
  const address = info.ca === undefined ? undefined : parseContentAddress(info.ca);
  return address !== undefined && contentAddressedPath(info, address) === info.path;
}

/** `text:sha256:…`, `fixed:sha256:…`, `fixed:r:sha256:…`, `fixed:git:sha1:…`; undefined for anything else. */
function parseContentAddress(ca: string): ContentAddress | undefined {
  const [, kind, ingestion = '', algorithm = '', text = ''] =
    /^(text|fixed):(r:|git:)?([a-z0-9]+):([0-9a-z]+)$/.exec(ca) ?? [];
  if (kind === undefined || (kind === 'text' && ingestion !== '')) return undefined;
  const digest = digestOf(text);
  if (digest === undefined || digest.length !== DIGEST_BYTES[algorithm]) return undefined;
  const method = kind === 'text' ? 'text' : (ingestion as ContentAddress['method']);
  return { method, algorithm, digest };
}

function digestOf(base32: string): Uint8Array | undefined {
  try {
    return decodeBase32(base32);
  } catch (error) {
    if (error instanceof NixError) return undefined;
    throw error;
  }
}

function contentAddressedPath(
  { path, references }: Pick<PathDescription, 'path' | 'references'>,
  { method, algorithm, digest }: ContentAddress,
): string | undefined {
  const { name } = parseStorePath(path);
  const others = sortedPaths(references).filter((reference) => reference !== path);
  const toItself = references.includes(path);
  const hex = Buffer.from(digest).toString('hex');
  if (method === 'text') {
    return algorithm === 'sha256' && !toItself ? pathOf(['text', ...others].join(':'), hex, name) : undefined;
  }
  if (method === 'r:' && algorithm === 'sha256') {
    return pathOf(['source', ...others, ...(toItself ? ['self'] : [])].join(':'), hex, name);
  }
  if (references.length > 0) return undefined;
  const inner = sha256(`fixed:out:${method}${algorithm}:${hex}:`).toString('hex');
  return pathOf('output:out', inner, name);
}

/** The path of a text that refers to these paths, such as a `.drv`. */
export function textPath(name: string, text: Uint8Array, references: readonly string[]): string {
  return pathOf(['text', ...sortedPaths(references)].join(':'), sha256(text).toString('hex'), name);
}

function pathOf(type: string, hex: string, name: string): string {
  const digest = sha256(`${type}:sha256:${hex}:${STORE_DIR}:${name}`);
  const folded = new Uint8Array(20);
  for (const [index, byte] of digest.entries()) folded[index % 20]! ^= byte;
  return `${STORE_DIR}/${encodeBase32(folded)}-${name}`;
}

function sha256(text: string | Uint8Array): Buffer {
  return createHash('sha256').update(text).digest();
}
