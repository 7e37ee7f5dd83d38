import { LOG_TAIL_LINES, MAX_LOG_BYTES, MAX_LOG_LINE_CHARS } from '../constants.ts';

/** A daemon takes such lines of a build for itself, so that no other line begins so. */
const PHASE_MARK = '@nix {';

/**
 * The log of one derivation as it grows. Bounded: past `MAX_LOG_BYTES` the newest half replaces the middle, and a line says so,
 * because the beginning (configure) and the end (the error) are what people read.
 */
export class BuildLog {
  readonly #head: string[] = [];
  #headBytes = 0;
  #tail: string[] = [];
  #tailBytes = 0;
  #dropped = 0;
  readonly #followers = new Set<(lines: string[]) => void>();
  #ended = false;
  readonly #onEnd = new Set<() => void>();

  get ended(): boolean {
    return this.#ended;
  }

  append(lines: readonly string[]): void {
    const kept = lines.map((line) =>
      line.length > MAX_LOG_LINE_CHARS ? `${line.slice(0, MAX_LOG_LINE_CHARS)} […]` : line,
    );
    for (const line of kept) this.#push(line);
    for (const follow of this.#followers) follow(kept);
  }

  /** A phase begins: no line to show, but one of the log that is stored. */
  phase(phase: string): void {
    this.#push(PHASE_MARK + JSON.stringify({ action: 'setPhase', phase }).slice(1));
  }

  /** A new attempt starts over; the log of the lost one is of no use to anybody. */
  restart(): void {
    this.#head.length = 0;
    this.#headBytes = 0;
    this.#tail = [];
    this.#tailBytes = 0;
    this.#dropped = 0;
  }

  end(): void {
    this.#ended = true;
    for (const callback of this.#onEnd) callback();
    this.#followers.clear();
    this.#onEnd.clear();
  }

  lines(): string[] {
    return this.stored().filter((line) => !line.startsWith(PHASE_MARK));
  }

  /** As a nix-daemon would have written it down. */
  stored(): string[] {
    if (this.#dropped === 0) return [...this.#head, ...this.#tail];
    return [...this.#head, `[mesh: ${this.#dropped} lines left out here]`, ...this.#tail];
  }

  tail(): string[] {
    return this.lines().slice(-LOG_TAIL_LINES);
  }

  /** Calls back with every further piece, then once at the end. Returns the way out. */
  follow(onLines: (lines: string[]) => void, onEnd: () => void): () => void {
    if (this.#ended) {
      onEnd();
      return () => undefined;
    }
    this.#followers.add(onLines);
    this.#onEnd.add(onEnd);
    return () => {
      this.#followers.delete(onLines);
      this.#onEnd.delete(onEnd);
    };
  }

  #push(line: string): void {
    const bytes = line.length + 1;
    if (this.#headBytes + bytes <= MAX_LOG_BYTES / 2 && this.#tail.length === 0) {
      this.#head.push(line);
      this.#headBytes += bytes;
      return;
    }
    this.#tail.push(line);
    this.#tailBytes += bytes;
    if (this.#tailBytes <= MAX_LOG_BYTES / 2) return;
    // Half of the tail goes at once, so that a very long log costs O(1) a line.
    const keep = this.#tail.slice(Math.floor(this.#tail.length / 2));
    this.#dropped += this.#tail.length - keep.length;
    this.#tail = keep;
    this.#tailBytes = keep.reduce((sum, kept) => sum + kept.length + 1, 0);
  }
}
