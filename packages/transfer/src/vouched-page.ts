import { createHash } from 'node:crypto';
import { fingerprintOf, type PathDescription, type SigningKey, verifySignature } from '@mesh/nix';

/** No fingerprint of a path begins so: what is signed here can be taken for nothing else. */
const PURPOSE = 'mesh-path-infos;1';

/**
 * What a page of path infos is vouched for by: `mesh-path-infos;1;<SHA-256, hexadecimal, of the infos' fingerprints, each with a
 * newline>`. Signed once, it says of each path what a signature of its own would.
 */
function statementOf(infos: readonly PathDescription[]): string {
  const hash = createHash('sha256');
  for (const info of infos) hash.update(`${fingerprintOf(info)}\n`);
  return `${PURPOSE};${hash.digest('hex')}`;
}

/** @returns the signature, `name:base64` */
export function vouchForPage(infos: readonly PathDescription[], key: SigningKey): string {
  return key.sign(statementOf(infos));
}

/** Whether the owner of the key (32 bytes) vouched for exactly these infos. */
export function isVouchedFor(
  infos: readonly PathDescription[],
  signature: string,
  publicKey: Uint8Array,
): boolean {
  return verifySignature(statementOf(infos), signature, publicKey);
}
