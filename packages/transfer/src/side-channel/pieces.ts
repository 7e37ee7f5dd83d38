/** Smallest piece: with a few under way the round trips hide, and a lost one is soon sent again. */
const MIN_PIECE_BYTES = 1024 * 1024;
/** Pieces of the largest NAR worth telling apart: a bitmap of 512 bytes. */
const MAX_PIECES = 4_096;

/** Bytes of a piece of a NAR of this size, the last one's excepted: the same at every member, for they tell each other bitmaps. */
export function pieceBytes(narBytes: number): number {
  let bytes = MIN_PIECE_BYTES;
  while (bytes * MAX_PIECES < narBytes) bytes *= 2;
  return bytes;
}

/** How many pieces a NAR of this size has. */
export function pieceCount(narBytes: number): number {
  return Math.ceil(narBytes / pieceBytes(narBytes));
}
