import { protocolError } from '../daemon/wire-reader.ts';
import { ByteReader } from './byte-reader.ts';
import {
  INFO_KEPT_MS,
  MAX_INFOS_BYTES,
  MAX_INFOS_KEPT,
  MAX_INFOS_ON_WAY,
  MAX_WALKED_PATHS,
} from './constants.ts';
import { MessageWalker } from './message-walker.ts';

interface Kept {
  readonly answer: Buffer;
  readonly at: number;
}

/**
 * Guesses what a client that walks over a closure asks next: path infos of references, first to last and deepest first, which is how
 * Nix goes. A walk has begun when a client asks for a reference of a path it asked for before; any other operation ends it.
 */
export class ClosureWalk {
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();
  readonly #seen = new Set<string>();
  readonly #references = new Set<string>();
  /** Paths to ask for, the next one last. */
  #next: string[] = [];
  #keptBytes = 0;
  #onWay = 0;
  #walking = false;

  /** @param now milliseconds on a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The client asks for a path: the daemon's whole answer where it is here, and fresh. Each answer is given once. */
  ask(path: string): Buffer | undefined {
    if (this.#references.has(path)) this.#walking = true;
    this.#seen.add(path);
    const kept = this.#kept.get(path);
    if (kept === undefined) return undefined;
    if (this.#now() - kept.at > INFO_KEPT_MS) {
      this.end();
      return undefined;
    }
    this.#kept.delete(path);
    this.#keptBytes -= kept.answer.length;
    return kept.answer;
  }

  /** The daemon's whole answer came to what the client itself asked for. */
  answered(answer: Buffer): void {
    this.#learn(answer);
  }

  /** The daemon's whole answer came to what {@link takeNext} gave; errors and paths that are not valid are asked for again. */
  arrived(path: string, answer: Buffer, wanted: boolean): void {
    this.#onWay -= 1;
    if (!this.#learn(answer) || wanted || !this.#walking) return;
    this.#kept.set(path, { answer, at: this.#now() });
    this.#keptBytes += answer.length;
  }

  /** What to ask for now; each path once in a walk. */
  takeNext(): string[] {
    const paths: string[] = [];
    if (!this.#walking) return paths;
    while (this.#onWay < MAX_INFOS_ON_WAY && this.#next.length > 0 && this.#hasRoom()) {
      const path = this.#next.pop()!;
      if (this.#seen.has(path)) continue;
      this.#seen.add(path);
      this.#onWay += 1;
      paths.push(path);
    }
    return paths;
  }

  /** Forgets everything but what is on its way. */
  end(): void {
    if (this.#seen.size === 0) return;
    this.#kept.clear();
    this.#seen.clear();
    this.#references.clear();
    this.#next = [];
    this.#keptBytes = 0;
    this.#walking = false;
  }

  #hasRoom(): boolean {
    return (
      this.#kept.size + this.#onWay < MAX_INFOS_KEPT &&
      this.#keptBytes < MAX_INFOS_BYTES &&
      this.#seen.size < MAX_WALKED_PATHS
    );
  }

  /** @returns whether it is the answer for a valid path */
  #learn(answer: Buffer): boolean {
    const messages = new MessageWalker(protocolError);
    const reader = new ByteReader(answer, messages.walk(answer, 0));
    if (messages.ended !== 'last' || !reader.flag()) return false;
    reader.string();
    reader.string();
    const references = reader.strings();
    if (this.#references.size + references.length > MAX_WALKED_PATHS) return true;
    for (const path of references.toReversed()) {
      this.#references.add(path);
      if (!this.#seen.has(path)) this.#next.push(path);
    }
    return true;
  }
}
