/** How far a fetch is. */
export interface FetchProgress {
  readonly pathsDone: number;
  /** Of all plans so far; grows where more turns out to be missing. */
  readonly pathsTotal: number;
  /** NAR bytes that came, also of paths that are not complete. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** Over the last seconds. */
  readonly bytesPerS: number;
  /** Who gave how much so far: peer ids (or `UPSTREAM`) and NAR bytes. */
  readonly sources: readonly { readonly peer: string; readonly bytes: number }[];
}

/** Often enough to look alive, seldom enough to cost nothing. */
export const PROGRESS_INTERVAL_MS = 250;
/** The rate is that of the last so many milliseconds: steady, and soon right after a change. */
const RATE_WINDOW_MS = 3_000;

/** Adds up what comes in one fetch, and tells of it now and then. */
export class FetchMeter {
  readonly #now: () => number;
  readonly #tell: (progress: FetchProgress) => void;
  readonly #bytesOf = new Map<string, number>();
  /** Bytes done at earlier tellings, the oldest first. */
  readonly #earlier: { atMs: number; bytes: number }[];
  #pathsDone = 0;
  #pathsTotal = 0;
  #bytesDone = 0;
  #bytesTotal = 0;
  #toldAtMs: number;

  /** @param now Monotonic, milliseconds. */
  constructor(now: () => number, tell: (progress: FetchProgress) => void) {
    this.#now = now;
    this.#tell = tell;
    this.#toldAtMs = now();
    this.#earlier = [{ atMs: this.#toldAtMs, bytes: 0 }];
  }

  /** So much is to come from now on; what an earlier plan left undone is in it. */
  planned(paths: number, bytes: number): void {
    this.#pathsTotal = this.#pathsDone + paths;
    this.#bytesTotal = this.#bytesDone + bytes;
  }

  /** Bytes came from a source; negative where what it gave turned out to be useless. */
  came(peer: string, bytes: number): void {
    this.#bytesOf.set(peer, (this.#bytesOf.get(peer) ?? 0) + bytes);
    this.#bytesDone += bytes;
    this.#tellIfDue();
  }

  /** A path is complete; its bytes were told by {@link came}. */
  pathCame(): void {
    this.#pathsDone += 1;
    this.#tellIfDue();
  }

  #tellIfDue(): void {
    const atMs = this.#now();
    if (atMs - this.#toldAtMs < PROGRESS_INTERVAL_MS) return;
    this.#toldAtMs = atMs;
    while (this.#earlier.length > 1 && this.#earlier[1]!.atMs <= atMs - RATE_WINDOW_MS) this.#earlier.shift();
    const [since] = this.#earlier;
    const bytesPerS = (1000 * Math.max(0, this.#bytesDone - since!.bytes)) / (atMs - since!.atMs);
    this.#earlier.push({ atMs, bytes: this.#bytesDone });
    this.#tell({
      pathsDone: this.#pathsDone,
      pathsTotal: Math.max(this.#pathsTotal, this.#pathsDone),
      bytesDone: this.#bytesDone,
      bytesTotal: Math.max(this.#bytesTotal, this.#bytesDone),
      bytesPerS,
      sources: [...this.#bytesOf].map(([peer, bytes]) => ({ peer, bytes })),
    });
  }
}
