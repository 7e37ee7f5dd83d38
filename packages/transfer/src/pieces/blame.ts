import { createHash } from 'node:crypto';
import { NarHasher, NixError, type PathDescription } from '@mesh/nix';
import { isPeerFault } from '../errors.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';
import { pieceBytes } from '../side-channel/pieces.ts';
import type { PeerRanges } from '../side-channel/ranges.ts';
import type { Witness } from './witness.ts';

/** Holders that are asked for the whole NAR to find out who lied: each costs the NAR once more. */
const MAX_COPIES = 4;

/**
 * Who gave wrong parts of a NAR whose hash was wrong in the end: a copy from one single holder that is right shows whose parts differ
 * from it; a holder whose copy is wrong has shown itself. Nothing of the copies is kept.
 * @param holders those that said to have all of it
 * @returns peer ids; empty where no holder had a right copy
 * @throws the signal's reason
 */
export async function findLiars(
  info: Pick<PathDescription, 'path' | 'narHash' | 'narSize'>,
  holders: readonly PeerLabel[],
  witnesses: readonly Witness[],
  peers: Pick<PeerRanges, 'read'>,
  signal: AbortSignal,
): Promise<Set<string>> {
  const liars = new Set<string>();
  for (const holder of holders.slice(0, MAX_COPIES)) {
    const different = await compare(info, holder, witnesses, peers, signal);
    if (different === 'lost') continue;
    if (different === 'wrong') {
      liars.add(holder.peerId);
      continue;
    }
    for (const source of different) liars.add(source);
    // Before others took part nobody kept a hash: what is wrong there is of the one who gave it.
    const unhashed = witnesses.find(({ digest }) => digest === undefined);
    if (liars.size === 0 && unhashed !== undefined) liars.add(unhashed.source);
    return liars;
  }
  return liars;
}

/** The sources whose parts differ from this holder's copy; `wrong` where the copy itself is. */
async function compare(
  { path, narHash, narSize }: Pick<PathDescription, 'path' | 'narHash' | 'narSize'>,
  holder: PeerLabel,
  witnesses: readonly Witness[],
  peers: Pick<PeerRanges, 'read'>,
  signal: AbortSignal,
): Promise<Set<string> | 'wrong' | 'lost'> {
  const size = pieceBytes(narSize);
  const ofPiece = Map.groupBy(witnesses, ({ offset }) => Math.floor(offset / size));
  const different = new Set<string>();
  const hasher = new NarHasher();
  const buffer = Buffer.allocUnsafeSlow(Math.min(size, narSize));
  try {
    for (let start = 0; start < narSize; start += size) {
      let at = 0;
      const take = (bytes: Uint8Array) => {
        buffer.set(bytes, at);
        at += bytes.length;
      };
      const bytes = Math.min(size, narSize - start);
      await peers.read(holder, { path, offset: start, bytes }, take, signal);
      hasher.push(buffer.subarray(0, bytes));
      for (const witness of ofPiece.get(start / size) ?? []) {
        const part = buffer.subarray(witness.offset - start, witness.offset - start + witness.bytes);
        const digest = createHash('sha256').update(part).digest();
        if (witness.digest !== undefined && !digest.equals(witness.digest)) different.add(witness.source);
      }
    }
    const found = hasher.finish();
    return Buffer.compare(found.narHash, narHash) === 0 ? different : 'wrong';
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof NixError && error.code === 'NIX_BAD_NAR') return 'wrong';
    if (isPeerFault(error)) return 'lost';
    throw error;
  }
}
