import { publicKeyOfPeerId } from '@mesh/net';
import {
  fingerprintOf,
  isContentAddressed,
  NixError,
  type PathDescription,
  parsePublicKey,
  signerOf,
  verifySignature,
} from '@mesh/nix';
import { TransferError } from './errors.ts';
import type { TransferNet } from './net.ts';
import type { PeerLabel } from './side-channel/nar-connection.ts';
import type { InfoPage } from './store-client.ts';
import { isVouchedFor } from './vouched-page.ts';

/** Keys of members are named so; the rest of the name is the peer id, which holds the key itself. */
export const MESH_KEY_PREFIX = 'mesh-';

/** The name of a member's signing key. */
export function signingKeyName(peerId: string): string {
  return MESH_KEY_PREFIX + peerId;
}

/** Whose word for a path's description counts, by raw ed25519 keys (32 bytes). */
export interface Vouchers {
  /** The key of this machine, or of a peer that is a member with the role `build` now; undefined for anybody else. */
  memberKey(peerId: string): Uint8Array | undefined;
  /** Keys of this name that this machine's Nix trusts by its own configuration. */
  nixKeys(name: string): readonly Uint8Array[];
}

/**
 * What makes a description believable: a builder of the mesh signed it, somebody this machine's Nix trusts did, or the path is
 * the address of its contents, which Nix compares when it takes them in.
 */
export type Vouching =
  | { readonly by: 'member'; readonly signature: string }
  | { readonly by: 'nix' }
  | { readonly by: 'content' };

/** The first of these that holds, undefined where none does. Signatures are looked at first: they cover the NAR hash. */
export function vouchingFor(info: PathDescription, vouchers: Vouchers): Vouching | undefined {
  const fingerprint = fingerprintOf(info);
  for (const signature of info.signatures) {
    const signer = memberNamedIn(signature);
    const key = signer === undefined ? undefined : vouchers.memberKey(signer);
    if (key !== undefined && verifySignature(fingerprint, signature, key)) return { by: 'member', signature };
  }
  const trusted = info.signatures.some((signature) =>
    vouchers.nixKeys(signerOf(signature)).some((key) => verifySignature(fingerprint, signature, key)),
  );
  if (trusted) return { by: 'nix' };
  return isContentAddressed(info) ? { by: 'content' } : undefined;
}

/**
 * Checks that a path's description can be believed, whoever sent it.
 * @returns the description as it may be stored: foreign signatures, and of the members' the one that was verified
 * @throws TransferError TRANSFER_BAD_SIGNATURE
 */
export function verifyPathInfo(
  info: PathDescription,
  sender: PeerLabel,
  vouchers: Vouchers,
): PathDescription {
  const vouching = vouchingFor(info, vouchers);
  if (vouching === undefined) {
    throw new TransferError(
      'TRANSFER_BAD_SIGNATURE',
      `${sender.name} described ${info.path} without a valid signature of a member that may build; it is not asked for this path again.`,
      { peerId: sender.peerId, path: info.path },
    );
  }
  return { ...info, signatures: [...ownWords(vouching), ...foreignSignatures(info)] };
}

/**
 * The infos of a page whose sender vouched for all of them at once, each with what of it may be stored: with the sender's own signature of each,
 * which covers the same words and serves whoever is told of the path later. Empty where the sender did not, or its word does not count.
 */
export function verifiedByPage(
  { infos, vouch }: InfoPage,
  sender: PeerLabel,
  vouchers: Vouchers,
): Map<PathDescription, PathDescription> {
  const key = vouch === undefined ? undefined : vouchers.memberKey(sender.peerId);
  if (vouch === undefined || key === undefined || !isVouchedFor(infos, vouch, key)) return new Map();
  return new Map(
    infos.map((info) => {
      const own = info.signatures.find((signature) => memberNamedIn(signature) === sender.peerId);
      const signatures = [...(own === undefined ? [] : [own]), ...foreignSignatures(info)];
      return [info, { ...info, signatures }];
    }),
  );
}

/** The signatures that members had nothing to do with, unchanged. */
export function foreignSignatures(info: PathDescription): string[] {
  return info.signatures.filter((signature) => memberNamedIn(signature) === undefined);
}

function ownWords(vouching: Vouching): string[] {
  return vouching.by === 'member' ? [vouching.signature] : [];
}

function memberNamedIn(signature: string): string | undefined {
  const colon = signature.indexOf(':');
  return colon > 0 && signature.startsWith(MESH_KEY_PREFIX)
    ? signature.slice(MESH_KEY_PREFIX.length, colon)
    : undefined;
}

/**
 * The vouchers of an agent. Keys of members are decoded once each: a closure is a thousand signatures of one peer.
 * @param trustedPublicKeys `name:base64` each, as Nix is configured; what is no key is passed over, as Nix itself refuses it
 */
export function agentVouchers(
  self: string,
  net: Pick<TransferNet, 'isMember' | 'rolesOf'>,
  trustedPublicKeys: readonly string[],
): Vouchers {
  const decoded = new Map<string, Uint8Array>();
  const nixKeys = new Map<string, Uint8Array[]>();
  for (const text of trustedPublicKeys) {
    const parsed = readKey(text);
    if (parsed !== undefined) nixKeys.set(parsed.name, [...(nixKeys.get(parsed.name) ?? []), parsed.key]);
  }
  return {
    memberKey(peerId) {
      // A machine builds for itself whatever its roles are.
      const counts = peerId === self || (net.isMember(peerId) && net.rolesOf(peerId).includes('build'));
      if (!counts) return undefined;
      let key = decoded.get(peerId);
      if (key === undefined) {
        key = publicKeyOfPeerId(peerId);
        decoded.set(peerId, key);
      }
      return key;
    },
    nixKeys: (name) => nixKeys.get(name) ?? [],
  };
}

function readKey(text: string): ReturnType<typeof parsePublicKey> | undefined {
  try {
    return parsePublicKey(text);
  } catch (error) {
    if (error instanceof NixError) return undefined;
    throw error;
  }
}
