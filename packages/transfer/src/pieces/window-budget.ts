/**
 * Memory that all fetches share. Who holds none yet gets some even if there is none left, so that every fetch moves; the overdraft is
 * one piece a fetch.
 */
export class WindowBudget {
  readonly #totalBytes: number;
  readonly #waiting = new Set<() => void>();
  #usedBytes = 0;

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** How many pieces somebody who holds `heldBytes` may take now. */
  roomFor(pieceBytes: number, heldBytes: number): number {
    const room = Math.floor((this.#totalBytes - this.#usedBytes) / pieceBytes);
    return Math.max(room, heldBytes === 0 ? 1 : 0);
  }

  take(bytes: number): void {
    this.#usedBytes += bytes;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    for (const wake of this.#waiting) wake();
  }

  /** Calls back whenever something was released. @returns ends it */
  onRoom(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }
}
