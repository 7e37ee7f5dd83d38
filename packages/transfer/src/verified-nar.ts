import { createHash } from 'node:crypto';
import type { PathDescription } from '@mesh/nix';
import { TransferError } from './errors.ts';
import type { PeerLabel } from './side-channel/nar-connection.ts';

/**
 * Passes a NAR on while checking it against a path's signed size and hash. The last chunk is held back until the
 * hash is right, so what is not the NAR that was promised never completes.
 * @throws TransferError TRANSFER_BAD_HASH
 */
export async function* verifiedNar(
  chunks: AsyncIterable<Uint8Array>,
  info: Pick<PathDescription, 'path' | 'narHash' | 'narSize'>,
  peer: PeerLabel,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  let size = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > info.narSize)
      throw badHash(info.path, peer, `more than the ${info.narSize} bytes it promised`);
    hash.update(chunk);
    if (held !== undefined) yield held;
    held = chunk;
  }
  if (size < info.narSize) throw badHash(info.path, peer, `${size} of the ${info.narSize} bytes it promised`);
  if (!hash.digest().equals(info.narHash)) throw badHash(info.path, peer, 'contents with another hash');
  if (held !== undefined) yield held;
}

function badHash(path: string, peer: PeerLabel, what: string): TransferError {
  return new TransferError(
    'TRANSFER_BAD_HASH',
    `${peer.name} sent ${what} for ${path}; it is not asked for this path again.`,
    { peerId: peer.peerId, path },
  );
}
