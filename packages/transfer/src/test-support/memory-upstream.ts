import { missingClosure } from '../upstream/cheapest-source.ts';
import type { Upstream, UpstreamOffer } from '../upstream/upstream.ts';
import type { MemoryStore } from './memory-store.ts';

/** Substituters of a member in memory: another store that it takes closures from. */
export class MemoryUpstream implements Upstream {
  readonly configured = true;
  readonly asked: string[] = [];
  readonly fetched: string[] = [];
  /** Offered, and not given. */
  readonly broken = new Set<string>();
  readonly #theirs: MemoryStore;
  readonly #ours: MemoryStore;

  constructor(theirs: MemoryStore, ours: MemoryStore) {
    this.#theirs = theirs;
    this.#ours = ours;
  }

  async offered(): Promise<ReadonlyMap<string, number>> {
    return new Map([...this.#theirs.infos.values()].map(({ path, narSize }) => [path, narSize]));
  }

  async offers(paths: readonly string[]): Promise<ReadonlyMap<string, UpstreamOffer>> {
    this.asked.push(...paths);
    const all = new Map(
      [...this.#theirs.infos.values()]
        .filter(({ path }) => !this.#ours.infos.has(path))
        .map(({ path, narSize, references }) => [
          path,
          { downloadBytes: narSize, narBytes: narSize, references },
        ]),
    );
    const reached = new Set(paths.flatMap((path) => [...missingClosure(path, all)]));
    return new Map([...all].filter(([path]) => reached.has(path)));
  }

  async fetch(paths: readonly string[]): Promise<ReadonlySet<string>> {
    for (const path of paths) if (!this.broken.has(path)) this.#take(path);
    return this.#ours.validPaths(paths);
  }

  #take(path: string): void {
    if (this.#ours.infos.has(path)) return;
    const info = this.#theirs.infos.get(path)!;
    for (const reference of info.references) this.#take(reference);
    this.#ours.register(info, this.#theirs.nars.get(path)!);
    this.fetched.push(path);
  }
}
