import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { encodeBase32 } from './base32.ts';
import { NixError, quote } from './errors.ts';
import type { PathDescription } from './path-info.ts';

/** A key that signs store paths, in Nix's text forms. */
export interface SigningKey {
  readonly name: string;
  /** `name:base64`, as in `trusted-public-keys`. */
  readonly publicKey: string;
  /** @returns `name:base64` */
  sign(fingerprint: string): string;
  /** The same, made beside the thread that asks. */
  signBeside(fingerprint: string): Promise<string>;
}

/** A public key taken apart; `key` is 32 bytes. */
export interface PublicKey {
  readonly name: string;
  readonly key: Uint8Array;
}

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** DER around a raw ed25519 key (RFC 8410): node:crypto takes no raw keys. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/**
 * What a signature of a path covers: `1;path;sha256:hash;size;references`.
 * Source: Nix manual, "Store object info"; ValidPathInfo::fingerprint.
 */
export function fingerprintOf(
  info: Pick<PathDescription, 'path' | 'narHash' | 'narSize' | 'references'>,
): string {
  const references = [...info.references].sort().join(',');
  return `1;${info.path};sha256:${encodeBase32(info.narHash)};${info.narSize};${references}`;
}

/**
 * A signing key from the 32 secret bytes of an ed25519 key.
 * @throws NixError NIX_BAD_KEY
 */
export function signingKeyFromSeed(name: string, seed: Uint8Array): SigningKey {
  if (seed.length !== KEY_BYTES) throw badKey(`a secret of ${seed.length} bytes instead of ${KEY_BYTES}`);
  checkName(name);
  const secret = privateKeyOf(seed);
  return {
    name,
    publicKey: `${name}:${Buffer.from(rawPublicKey(secret)).toString('base64')}`,
    sign: (fingerprint) => `${name}:${sign(null, Buffer.from(fingerprint), secret).toString('base64')}`,
    signBeside: (fingerprint) =>
      new Promise((resolve, reject) => {
        sign(null, Buffer.from(fingerprint), secret, (error, signature) => {
          if (error === null) resolve(`${name}:${signature.toString('base64')}`);
          else reject(error);
        });
      }),
  };
}

/**
 * Reads a `secret-key-files` entry: `name:base64(seed, public key)`.
 * @throws NixError NIX_BAD_KEY, also where the two halves do not belong together
 */
export function parseSecretKey(text: string): { readonly name: string; readonly seed: Uint8Array } {
  const { name, bytes } = splitKey(text.trim(), 2 * KEY_BYTES, 'secret key');
  const seed = bytes.subarray(0, KEY_BYTES);
  if (Buffer.compare(rawPublicKey(privateKeyOf(seed)), bytes.subarray(KEY_BYTES)) !== 0) {
    throw badKey('a secret key whose public half is another key’s');
  }
  return { name, seed };
}

/** The form of {@link parseSecretKey}, for a `secret-key-files` entry. */
export function printSecretKey(name: string, seed: Uint8Array): string {
  checkName(name);
  const secret = Buffer.concat([seed, rawPublicKey(privateKeyOf(seed))]);
  return `${name}:${secret.toString('base64')}`;
}

/**
 * Reads a `trusted-public-keys` entry.
 * @throws NixError NIX_BAD_KEY
 */
export function parsePublicKey(text: string): PublicKey {
  const { name, bytes } = splitKey(text.trim(), KEY_BYTES, 'public key');
  return { name, key: bytes };
}

/** The key name of a signature, '' where the text is none. */
export function signerOf(signature: string): string {
  return signature.slice(0, Math.max(0, signature.indexOf(':')));
}

/**
 * Whether a signature (`name:base64`) over the fingerprint was made by the key (32 bytes). The name is not looked at:
 * choose the key by it. A text that is no signature is simply not a valid one.
 */
export function verifySignature(fingerprint: string, signature: string, rawPublicKey: Uint8Array): boolean {
  const bytes = Buffer.from(signature.slice(signature.indexOf(':') + 1), 'base64');
  if (bytes.length !== SIGNATURE_BYTES || rawPublicKey.length !== KEY_BYTES) return false;
  return verify(null, Buffer.from(fingerprint), publicKeyOf(rawPublicKey), bytes);
}

/** Made once for each array of bytes: a closure is a thousand signatures by one key. */
const publicKeys = new WeakMap<Uint8Array, KeyObject>();

function publicKeyOf(raw: Uint8Array): KeyObject {
  let key = publicKeys.get(raw);
  if (key === undefined) {
    key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
    publicKeys.set(raw, key);
  }
  return key;
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

function rawPublicKey(secret: KeyObject): Uint8Array {
  return createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
}

function splitKey(text: string, size: number, what: string): { name: string; bytes: Buffer } {
  const name = signerOf(text);
  checkName(name);
  const base64 = text.slice(name.length + 1);
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== size || bytes.toString('base64') !== base64) {
    throw badKey(`no ${what} (name, colon, base-64 of ${size} bytes)`);
  }
  return { name, bytes };
}

function checkName(name: string): void {
  if (!/^[^\s:]{1,256}$/.test(name)) throw badKey(`the key name ${quote(name)}`);
}

function badKey(what: string): NixError {
  return new NixError('NIX_BAD_KEY', `The key is not usable: it has ${what}.`);
}
