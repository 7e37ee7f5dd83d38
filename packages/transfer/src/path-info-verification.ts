import { fingerprintOf, type PathDescription, verifySignature } from '@mesh/nix';
import { TransferError } from './errors.ts';
import type { PeerLabel } from './side-channel/nar-connection.ts';

/** Keys of members are named so; the rest of the name is the peer id, which holds the key itself. */
export const MESH_KEY_PREFIX = 'mesh-';

/** The name of a member's signing key. */
export function signingKeyName(peerId: string): string {
  return MESH_KEY_PREFIX + peerId;
}

/** The raw ed25519 key (32 bytes) of a peer that is a member now, undefined for anybody else. */
export type MemberKeys = (peerId: string) => Uint8Array | undefined;

/**
 * Checks that a current member vouches for a path's description, whoever sent it.
 * @returns the description as it may be stored: foreign signatures, and of the members' the one that was verified
 * @throws TransferError TRANSFER_BAD_SIGNATURE
 */
export function verifyPathInfo(
  info: PathDescription,
  sender: PeerLabel,
  memberKeys: MemberKeys,
): PathDescription {
  const fingerprint = fingerprintOf(info);
  for (const signature of info.signatures) {
    const signer = memberNamedIn(signature);
    const key = signer === undefined ? undefined : memberKeys(signer);
    if (key === undefined || !verifySignature(fingerprint, signature, key)) continue;
    const foreign = info.signatures.filter((other) => memberNamedIn(other) === undefined);
    return { ...info, signatures: [signature, ...foreign] };
  }
  throw new TransferError(
    'TRANSFER_BAD_SIGNATURE',
    `${sender.name} described ${info.path} without a valid signature of a member; it is not asked for this path again.`,
    { peerId: sender.peerId, path: info.path },
  );
}

function memberNamedIn(signature: string): string | undefined {
  const colon = signature.indexOf(':');
  return colon > 0 && signature.startsWith(MESH_KEY_PREFIX)
    ? signature.slice(MESH_KEY_PREFIX.length, colon)
    : undefined;
}
