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
  readonly references: readonly string[];
  /** When the daemon was asked. */
  readonly at: number;
}

/**
 * Guesses what a client that walks over a closure asks next: path infos of references, first to last and deepest first, which is how
 * Nix goes. A walk has begun when a client asks for a reference of a path it asked for before; any other operation ends it.
 */
export class ClosureWalk {
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();
  /** When each of them was asked for. */
  readonly #onWay = new Map<string, number>();
  readonly #seen = new Set<string>();
  readonly #references = new Set<string>();
  /** Paths to ask for, the next one last. */
  #next: string[] = [];
  #keptBytes = 0;
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
    this.#kept.delete(path);
    this.#keptBytes -= kept.answer.length;
    if (!this.#isFresh(kept.at)) return undefined;
    this.#comesNext(kept.references);
    return kept.answer;
  }

  /** The daemon's whole answer came to what the client itself asked for. */
  answered(answer: Buffer): void {
    this.#learn(answer);
  }

  /** Whether the answer to what {@link takeNext} gave is on its way, and will be fresh enough for a client that asks now. */
  isOnWay(path: string): boolean {
    const askedAt = this.#onWay.get(path);
    return askedAt !== undefined && this.#isFresh(askedAt);
  }

  /** Whether anything is on its way. */
  get isAhead(): boolean {
    return this.#onWay.size > 0;
  }

  /** The daemon's whole answer came to what {@link takeNext} gave; errors and paths that are not valid are asked for again. */
  arrived(path: string, answer: Buffer, wanted: boolean): void {
    const at = this.#onWay.get(path) ?? 0;
    this.#onWay.delete(path);
    // Asked for before the walk ended.
    if (!this.#walking) return;
    const references = this.#learn(answer);
    if (references === undefined || wanted) return;
    this.#kept.set(path, { answer, references, at });
    this.#keptBytes += answer.length;
  }

  /** What to ask for now; each path once in a walk. */
  takeNext(): string[] {
    const paths: string[] = [];
    const now = this.#now();
    // Many at once: each write to the daemon wakes it, which costs more than a question.
    if (!this.#walking || this.#onWay.size > MAX_INFOS_ON_WAY / 2 || this.#isFull()) return paths;
    while (this.#onWay.size < MAX_INFOS_ON_WAY && this.#next.length > 0) {
      const path = this.#next.pop()!;
      if (this.#seen.has(path)) continue;
      this.#seen.add(path);
      this.#onWay.set(path, now);
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

  #isFresh(askedAt: number): boolean {
    return this.#now() - askedAt <= INFO_KEPT_MS;
  }

  /** Full once it was filled, until there is room for as many as are asked for at once. */
  #isFull(): boolean {
    return (
      this.#kept.size > MAX_INFOS_KEPT - 2 * MAX_INFOS_ON_WAY ||
      this.#keptBytes > MAX_INFOS_BYTES ||
      this.#seen.size > MAX_WALKED_PATHS
    );
  }

  /** @returns the references, undefined for an error or a path that is not valid */
  #learn(answer: Buffer): readonly string[] | undefined {
    const messages = new MessageWalker(protocolError);
    const reader = new ByteReader(answer, messages.walk(answer, 0));
    if (messages.ended !== 'last' || !reader.flag()) return undefined;
    reader.string();
    reader.string();
    const references = reader.strings();
    if (this.#references.size + references.length > MAX_WALKED_PATHS) return [];
    for (const path of references) this.#references.add(path);
    this.#comesNext(references);
    return references;
  }

  #comesNext(references: readonly string[]): void {
    for (const path of references.toReversed()) if (!this.#seen.has(path)) this.#next.push(path);
  }
}
