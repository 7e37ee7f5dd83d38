import type { KeepLimits } from './kept-limits.ts';

/** What counts of a store path. */
export interface PathSize {
  /** NAR bytes: about what it takes on disk. */
  readonly narSize: number;
  readonly references: readonly string[];
}

interface Node extends PathSize {
  /** Kept results whose closures it is in. */
  users: number;
}

/**
 * The kept results and what they keep alive: every path they lead to counts once, however many lead to it. Decides which are let go.
 */
export class KeptClosures {
  /** When each kept result was last of use, milliseconds since the epoch. */
  readonly #usedMs = new Map<string, number>();
  readonly #nodes = new Map<string, Node>();
  #bytes = 0;

  /** NAR bytes of all kept results with all they refer to. */
  get bytes(): number {
    return this.#bytes;
  }

  get paths(): Iterable<string> {
    return this.#usedMs.keys();
  }

  get count(): number {
    return this.#usedMs.size;
  }

  has(path: string): boolean {
    return this.#usedMs.has(path);
  }

  /** Whether the size of a path is known, because it is in the closure of a kept result. */
  knows(path: string): boolean {
    return this.#nodes.has(path);
  }

  usedMs(path: string): number | undefined {
    return this.#usedMs.get(path);
  }

  /** A kept result was of use. */
  used(path: string, atMs: number): void {
    const before = this.#usedMs.get(path);
    if (before !== undefined && before < atMs) this.#usedMs.set(path, atMs);
  }

  /** Bytes of a path's whole closure. `infos` has those that {@link knows} does not. */
  closureBytes(path: string, infos: ReadonlyMap<string, PathSize>): number {
    return this.#closure(path, infos).reduce((sum, [, { narSize }]) => sum + narSize, 0);
  }

  /** Counts a result. `infos` has what of its closure {@link knows} does not; what nobody describes counts nothing. */
  add(path: string, usedMs: number, infos: ReadonlyMap<string, PathSize>): void {
    if (this.#usedMs.has(path)) {
      this.used(path, usedMs);
      return;
    }
    this.#usedMs.set(path, usedMs);
    for (const [name, { narSize, references }] of this.#closure(path, infos)) {
      const known = this.#nodes.get(name);
      if (known !== undefined) {
        known.users += 1;
        continue;
      }
      this.#nodes.set(name, { narSize, references, users: 1 });
      this.#bytes += narSize;
    }
  }

  remove(path: string): void {
    if (!this.#usedMs.delete(path)) return;
    for (const [name] of this.#closure(path, new Map())) {
      const node = this.#nodes.get(name)!;
      node.users -= 1;
      if (node.users > 0) continue;
      this.#nodes.delete(name);
      this.#bytes -= node.narSize;
    }
  }

  /** Lets go of what is over the limits, least recently used first; returns it. */
  trim(limits: KeepLimits & { readonly maxCount: number }, nowMs: number): string[] {
    const gone: string[] = [];
    for (const [path, usedMs] of [...this.#usedMs].sort(([, a], [, b]) => a - b)) {
      const isOver = this.#bytes > limits.maxBytes || this.count > limits.maxCount;
      if (!isOver && nowMs - usedMs < limits.maxAgeMs) break;
      this.remove(path);
      gone.push(path);
    }
    return gone;
  }

  /** When the next one is too old, milliseconds since the epoch; undefined where there is none. */
  nextEndMs({ maxAgeMs }: Pick<KeepLimits, 'maxAgeMs'>): number | undefined {
    let oldestMs: number | undefined;
    for (const usedMs of this.#usedMs.values()) oldestMs = Math.min(oldestMs ?? usedMs, usedMs);
    return oldestMs === undefined ? undefined : oldestMs + maxAgeMs;
  }

  #closure(root: string, infos: ReadonlyMap<string, PathSize>): [string, PathSize][] {
    const seen = new Set([root]);
    const closure: [string, PathSize][] = [];
    for (const path of seen) {
      const info = this.#nodes.get(path) ?? infos.get(path);
      if (info === undefined) continue;
      closure.push([path, info]);
      for (const reference of info.references) seen.add(reference);
    }
    return closure;
  }
}
