/** One bit a piece, the first in the lowest bit of the first byte; pieces beyond the end of the map are absent. */
export type PieceMap = Uint8Array;

/** A map for this many pieces, none of them set. */
export function emptyPieceMap(pieces: number): PieceMap {
  return new Uint8Array(Math.ceil(pieces / 8));
}

export function hasPiece(map: PieceMap, piece: number): boolean {
  return ((map[piece >> 3] ?? 0) & (1 << (piece & 7))) !== 0;
}

export function setPiece(map: PieceMap, piece: number): void {
  map[piece >> 3] = (map[piece >> 3] ?? 0) | (1 << (piece & 7));
}
