import { NixError, type PathDescription, verifyNar } from '@mesh/nix';
import { TransferError } from '../errors.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';

/**
 * Passes a NAR on while checking its syntax and, at its end, the size and hash that a member signed. The last chunk is
 * held back until all are right, so what is not the NAR that was promised never completes.
 * @throws TransferError TRANSFER_BAD_HASH
 */
export async function* verifiedNar(
  chunks: AsyncIterable<Uint8Array>,
  info: Pick<PathDescription, 'path' | 'narHash' | 'narSize'>,
  peer: PeerLabel,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* verifyNar(chunks, info);
  } catch (error) {
    if (!(error instanceof NixError) || error.code !== 'NIX_BAD_NAR') throw error;
    throw new TransferError(
      'TRANSFER_BAD_HASH',
      `${peer.name} sent something else than it promised for ${info.path}; it is not asked for this path again.`,
      { peerId: peer.peerId, path: info.path, cause: error },
    );
  }
}
