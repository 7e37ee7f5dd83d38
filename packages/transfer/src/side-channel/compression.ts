/** zstd levels worth choosing between; 0 is none. */
export type Level = 0 | 1 | 3 | 9;

/** Bytes a millisecond of one core, and how much smaller: measured with zstd 1.5 on a closure of programs. */
const LEVELS: readonly { readonly level: Level; readonly speed: number; readonly ratio: number }[] = [
  { level: 1, speed: 175_000, ratio: 2.55 },
  { level: 3, speed: 104_000, ratio: 2.9 },
  { level: 9, speed: 23_000, ratio: 3.25 },
];

/** From this many bytes a millisecond on, the asker's time to unpack counts for more than the network's. */
const FAST_LINK = 80_000;
/** What shrinks less is sent as it is. */
const WORTH_RATIO = 1.1;
/** Compressing has to end sooner by so much: it takes power that builds could use. */
const WORTH_GAIN = 0.9;
/** Weight of the newest measurement. */
const NEWEST = 0.5;
/** A link that was not filled may be faster than it was measured: it is tried anew in some while. */
const UNFILLED_GAIN = 1.02;

export interface CompressionFacts {
  /** Bytes a millisecond the network takes; undefined where that is not known. */
  readonly linkRate: number | undefined;
  /** Cores without work, 0 and more. */
  readonly freeCores: number;
  /** How this NAR did so far: the level and by how much it became smaller. */
  readonly seen: { readonly level: Level; readonly ratio: number } | undefined;
}

/** The level at which the next bytes are there soonest: compressing and sending go on side by side, so the slower of them counts. */
export function chooseLevel({ linkRate, freeCores, seen }: CompressionFacts): Level {
  if (linkRate === undefined || linkRate >= FAST_LINK) return 0;
  if (seen !== undefined && seen.ratio < WORTH_RATIO) return 0;
  const told = LEVELS.find(({ level }) => level === seen?.level);
  const scale = seen === undefined || told === undefined ? 1 : seen.ratio / told.ratio;
  let best: { level: Level; msPerByte: number } = { level: 0, msPerByte: WORTH_GAIN / linkRate };
  for (const { level, speed, ratio } of LEVELS) {
    const shrunk = Math.max(1, ratio * scale);
    const msPerByte = Math.max(1 / (speed * Math.max(freeCores, 0.1)), 1 / (shrunk * linkRate));
    if (msPerByte < best.msPerByte) best = { level, msPerByte };
  }
  return best.level;
}

/** How fast the network to one peer takes bytes, from how long writing had to wait. */
export class LinkRate {
  #rate: number | undefined;

  /** Bytes a millisecond; undefined until it was measured. */
  get rate(): number | undefined {
    return this.#rate;
  }

  /** So many bytes were written, of `elapsedMs` in all `writingMs` waiting for the network. */
  observe(bytes: number, writingMs: number, elapsedMs: number): void {
    if (writingMs < elapsedMs / 2) {
      if (this.#rate !== undefined) this.#rate *= UNFILLED_GAIN;
      return;
    }
    const measured = bytes / Math.max(writingMs, 0.1);
    this.#rate = this.#rate === undefined ? measured : this.#rate * (1 - NEWEST) + measured * NEWEST;
  }
}
