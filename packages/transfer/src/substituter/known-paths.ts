import type { PathDescription } from '@mesh/nix';
import { FRESH_MS, MAX_KNOWN_PATHS } from './constants.ts';

/** A path that can be served. */
export interface FoundPath {
  /** Verified, with the signatures that go out with it. */
  readonly info: PathDescription;
  /** It is valid in this machine's own store. */
  readonly own: boolean;
  /** Peer ids of members that said they have it, the first to answer first; grows as others answer. */
  readonly holders: string[];
  /** The narinfo as it is sent. */
  readonly narInfo: Buffer;
}

interface Known {
  readonly found: FoundPath;
  readonly checkedMs: number;
}

/** What was found lately, by hash part: bounded, the least lately asked for is forgotten first. Absence is never remembered. */
export class KnownPaths {
  readonly #known = new Map<string, Known>();

  get size(): number {
    return this.#known.size;
  }

  remember(hashPart: string, found: FoundPath, nowMs: number): void {
    this.#known.delete(hashPart);
    this.#known.set(hashPart, { found, checkedMs: nowMs });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN_PATHS) break;
      this.#known.delete(oldest);
    }
  }

  /** What can be believed without asking: found not long ago, here or at a member that is still connected. */
  get(hashPart: string, nowMs: number, isConnected: (peerId: string) => boolean): FoundPath | undefined {
    const known = this.#known.get(hashPart);
    if (known === undefined) return undefined;
    const { found, checkedMs } = known;
    if (nowMs - checkedMs >= FRESH_MS || !(found.own || found.holders.some(isConnected))) {
      this.#known.delete(hashPart);
      return undefined;
    }
    this.#known.delete(hashPart);
    this.#known.set(hashPart, known);
    return found;
  }

  forget(hashPart: string): void {
    this.#known.delete(hashPart);
  }

  clear(): void {
    this.#known.clear();
  }
}
