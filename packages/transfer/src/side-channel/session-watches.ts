import { FrameError } from './frames.ts';
import { HOLDING_PAUSE_MS, MAX_WATCHES } from './limits.ts';
import { holdingFrame } from './messages.ts';
import type { HoldingBoard, NarHolding } from './ranges.ts';

/** What one connection's peer watches, and what it is still to be told: of each path only the newest. */
export class SessionWatches {
  readonly #peerId: string;
  readonly #board: HoldingBoard | undefined;
  readonly #news: () => void;
  readonly #ends = new Map<string, () => void>();
  readonly #untold = new Map<string, NarHolding>();
  #timer: NodeJS.Timeout | undefined;

  /** @param news called when there is something to {@link take}, at most once every HOLDING_PAUSE_MS */
  constructor(peerId: string, board: HoldingBoard | undefined, news: () => void) {
    this.#peerId = peerId;
    this.#board = board;
    this.#news = news;
  }

  get size(): number {
    return this.#ends.size;
  }

  /** @throws FrameError over MAX_WATCHES */
  begin(path: string): void {
    this.end(path);
    if (this.#ends.size >= MAX_WATCHES) throw new FrameError('more paths than can be watched at once');
    if (this.#board === undefined) return;
    let first = true;
    const tell = (holding: NarHolding) => {
      this.#untold.set(path, holding);
      if (first) queueMicrotask(this.#news);
      else this.#timer ??= setTimeout(() => this.#pause(), HOLDING_PAUSE_MS);
      first = false;
    };
    this.#ends.set(path, this.#board.watch(this.#peerId, path, tell));
  }

  end(path: string): void {
    this.#ends.get(path)?.();
    this.#ends.delete(path);
    this.#untold.delete(path);
  }

  /** Frames of what the peer has not been told; it is told now. */
  take(): Uint8Array[] {
    if (this.#untold.size === 0 || this.#timer !== undefined) return [];
    const frames = [...this.#untold].map(([path, holding]) => holdingFrame(path, holding));
    this.#untold.clear();
    return frames;
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const path of [...this.#ends.keys()]) this.end(path);
  }

  #pause(): void {
    this.#timer = undefined;
    this.#news();
  }
}
