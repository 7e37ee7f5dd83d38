import { NixError, quote } from './errors.ts';

/** The one store directory: signatures and input-addressed paths depend on it, so it is not configurable. */
export const STORE_DIR = '/nix/store';

/** A store path taken apart: `/nix/store/<hashPart>-<name>`. */
export interface StorePath {
  /** 32 characters of Nix base-32. */
  readonly hashPart: string;
  /** 1 to 211 characters of `0-9a-zA-Z+-._?=`. */
  readonly name: string;
}

const PREFIX = `${STORE_DIR}/`;
const BASENAME = /^[0-9a-df-np-sv-z]{32}-(?!\.{1,2}(?:-|$))[0-9a-zA-Z+\-._?=]{1,211}$/;

/**
 * Takes a store path apart, by the rules of Nix's `StorePath` (characters, 32-digit hash, 211-character name).
 * @throws NixError NIX_BAD_STORE_PATH
 */
export function parseStorePath(path: string): StorePath {
  if (!isStorePath(path)) {
    throw new NixError('NIX_BAD_STORE_PATH', `${quote(path)} is not a path directly inside ${STORE_DIR}.`);
  }
  return { hashPart: path.slice(PREFIX.length, PREFIX.length + 32), name: path.slice(PREFIX.length + 33) };
}

/** Whether the text is a full store path (not a file inside one). */
export function isStorePath(path: string): boolean {
  return path.startsWith(PREFIX) && BASENAME.test(path.slice(PREFIX.length));
}

/** Whether the text can be the hash part of a store path. */
export function isHashPart(text: string): boolean {
  return /^[0-9a-df-np-sv-z]{32}$/.test(text);
}

/** Whether the text is a full store path of a `.drv` file. */
export function isDerivationPath(path: string): boolean {
  return path.endsWith('.drv') && isStorePath(path);
}

/**
 * `<hash>-<name>` of a store path: the form used inside narinfo files.
 * @throws NixError NIX_BAD_STORE_PATH
 */
export function basenameOf(path: string): string {
  parseStorePath(path);
  return path.slice(PREFIX.length);
}

/**
 * The full path of a `<hash>-<name>`.
 * @throws NixError NIX_BAD_STORE_PATH
 */
export function storePathOf(basename: string): string {
  const path = PREFIX + basename;
  parseStorePath(path);
  return path;
}
