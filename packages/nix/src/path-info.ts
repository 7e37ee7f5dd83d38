import { decodeBase32 } from './base32.ts';
import { NixError, quote } from './errors.ts';

/** What is signed and served about a store path. */
export interface PathDescription {
  readonly path: string;
  readonly deriver?: string;
  /** SHA-256 of the NAR: 32 bytes. */
  readonly narHash: Uint8Array;
  /** Bytes of the NAR. */
  readonly narSize: number;
  /** Full store paths, sorted, each once. */
  readonly references: readonly string[];
  /** `name:base64` each. */
  readonly signatures: readonly string[];
  /** Content address (`text:sha256:…`, `fixed:r:sha256:…`), where the path has one. */
  readonly ca?: string;
}

/** A path as a store's database knows it. */
export interface PathInfo extends PathDescription {
  /** Seconds since 1970. */
  readonly registrationTime: number;
  /** Built here, not copied. */
  readonly ultimate: boolean;
}

/** Full paths in the order Nix keeps (by byte), each once. */
export function sortedPaths(paths: Iterable<string>): string[] {
  return [...new Set(paths)].sort();
}

/**
 * Reads a SHA-256 in any form Nix writes: base-16, Nix base-32 or base-64, with `sha256:` or `sha256-` or without.
 * @returns 32 bytes
 * @throws NixError NIX_BAD_HASH
 */
export function parseSha256(text: string): Uint8Array {
  const digits = /^sha256[:-]/.test(text) ? text.slice('sha256:'.length) : text;
  if (/^[0-9a-fA-F]{64}$/.test(digits)) return Buffer.from(digits, 'hex');
  if (/^[0-9a-df-np-sv-z]{52}$/.test(digits)) return decodeBase32(digits);
  if (/^[A-Za-z0-9+/]{43}=$/.test(digits)) return Buffer.from(digits, 'base64');
  throw new NixError('NIX_BAD_HASH', `${quote(text)} is not a SHA-256 hash in any form Nix writes.`);
}
