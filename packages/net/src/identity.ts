import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { publicKeyFromRaw } from '@libp2p/crypto/keys';
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id';
import * as v from 'valibot';
import { readStateFile, writeFileAtomically } from './atomic-file.ts';
import { codeOf, NetError } from './errors.ts';

/** Who this agent is: one ed25519 key, its libp2p peer id and its signature. */
export interface Identity {
  /** `12D3KooW…` */
  readonly peerId: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 32 bytes; the private key of RFC 8032. */
  readonly seed: Uint8Array;
  sign(bytes: Uint8Array): Uint8Array;
}

// DER wrappings of raw ed25519 keys (RFC 8410): everything of them is constant but the key.
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

const fileSchema = v.object({
  version: v.literal(1),
  type: v.literal('ed25519'),
  seed: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
});

/** The identity of a 32-byte seed. */
export function identityFromSeed(seed: Uint8Array): Identity {
  if (seed.length !== 32) throw new Error('An ed25519 seed is 32 bytes long.');
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length));
  return {
    peerId: peerIdOfPublicKey(publicKey),
    publicKey,
    seed: new Uint8Array(seed),
    sign: (bytes) => new Uint8Array(sign(null, bytes, privateKey)),
  };
}

/** A new identity from the machine's own randomness. */
export function generateIdentity(): Identity {
  return identityFromSeed(randomBytes(32));
}

/**
 * The identity kept in `stateDir/identity.json` (mode 0600), made on the first start.
 * @throws {NetError} `NET_IDENTITY_UNREADABLE` where the file is garbled or readable by others
 */
export async function loadOrCreateIdentity(stateDir: string): Promise<Identity> {
  const path = join(stateDir, 'identity.json');
  const existing = await readIdentity(path);
  if (existing !== undefined) return existing;
  const identity = generateIdentity();
  const file = { version: 1, type: 'ed25519', seed: Buffer.from(identity.seed).toString('hex') };
  await writeFileAtomically(path, `${JSON.stringify(file)}\n`);
  return identity;
}

async function readIdentity(path: string): Promise<Identity | undefined> {
  const mode = await modeOf(path);
  if (mode === undefined) return undefined;
  if ((mode & 0o077) !== 0) {
    throw new NetError(
      'NET_IDENTITY_UNREADABLE',
      `The private key in ${path} can be read by other users: run "chmod 600 ${path}", or delete the file for a new identity.`,
    );
  }
  const garbled = `The identity in ${path} is garbled: restore the file from a backup, or delete it for a new identity.`;
  let content: unknown;
  try {
    content = await readStateFile(path);
  } catch (error) {
    throw new NetError('NET_IDENTITY_UNREADABLE', garbled, { cause: error });
  }
  const parsed = v.safeParse(fileSchema, content);
  if (!parsed.success) throw new NetError('NET_IDENTITY_UNREADABLE', garbled);
  return identityFromSeed(Buffer.from(parsed.output.seed, 'hex'));
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The peer id of a 32-byte ed25519 public key. */
export function peerIdOfPublicKey(publicKey: Uint8Array): string {
  return peerIdFromPublicKey(publicKeyFromRaw(publicKey)).toString();
}

/**
 * The 32-byte ed25519 public key inside a peer id.
 * @throws {NetError} `NET_BAD_PEER_ID`
 */
export function publicKeyOfPeerId(peerId: string): Uint8Array {
  let parsed: ReturnType<typeof peerIdFromString>;
  try {
    parsed = peerIdFromString(peerId);
  } catch (error) {
    throw badPeerId(peerId, error);
  }
  if (parsed.type !== 'Ed25519') throw badPeerId(peerId);
  return parsed.publicKey.raw;
}

function badPeerId(peerId: string, cause?: unknown): NetError {
  return new NetError(
    'NET_BAD_PEER_ID',
    `"${peerId.slice(0, 80)}" is not the peer id of an ed25519 key; \`mesh peers\` lists those of this mesh.`,
    { cause },
  );
}

/** Parsed keys of recently verified signers: parsing costs as much as verifying. */
const keys = new Map<string, KeyObject>();
const MAX_KEYS = 1_024;

/** Whether `signature` over `bytes` was made by `peerId`'s key. A malformed peer id is no signer. */
export function verifyWith(peerId: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  let key = keys.get(peerId);
  if (key === undefined) {
    try {
      const der = Buffer.concat([SPKI_PREFIX, publicKeyOfPeerId(peerId)]);
      key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    } catch (error) {
      // A peer id of another key type, or a public key that is no point of the curve: nobody can have signed with it.
      if (codeOf(error) !== undefined) return false;
      throw error;
    }
    if (keys.size >= MAX_KEYS) keys.clear();
    keys.set(peerId, key);
  }
  return verify(null, bytes, key, signature);
}
