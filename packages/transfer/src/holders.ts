/** A path wanted here and the members said to hold it. */
export interface WantedPath {
  readonly path: string;
  /** Peer ids, the preferred one first; may be empty, wrong or out of date. */
  readonly holders: readonly string[];
}

/** Who can be asked for which path in one fetch: what was said, what was learned, and who proved to be of no use. */
export class Holders {
  readonly #known = new Map<string, string[]>();
  readonly #useless = new Set<string>();

  constructor(wanted: Iterable<WantedPath>) {
    for (const { path, holders } of wanted) this.add(path, holders);
  }

  add(path: string, peerIds: Iterable<string>): void {
    this.#known.set(path, [...new Set([...(this.#known.get(path) ?? []), ...peerIds])]);
  }

  /** Not to be asked for this path again. */
  rule(out: string, path: string): void {
    this.#useless.add(`${out} ${path}`);
  }

  /** Whether this peer was ruled out for this path. */
  isRuledOut(peerId: string, path: string): boolean {
    return this.#useless.has(`${peerId} ${path}`);
  }

  /** The holders of a path that are connected and not ruled out. */
  of(path: string, connected: ReadonlySet<string>): string[] {
    return (this.#known.get(path) ?? []).filter(
      (peerId) => connected.has(peerId) && !this.#useless.has(`${peerId} ${path}`),
    );
  }

  /**
   * A holder for each path that has one, as few peers as a greedy choice gives: closures overlap, and one
   * peer tells about all of its share in one answer.
   */
  assign(paths: readonly string[], connected: ReadonlySet<string>): Map<string, string[]> {
    const candidates = new Map(paths.map((path) => [path, this.of(path, connected)]));
    const shares = new Map<string, number>();
    for (const holders of candidates.values()) {
      for (const peerId of holders) shares.set(peerId, (shares.get(peerId) ?? 0) + 1);
    }
    const assigned = new Map<string, string[]>();
    for (const [path, holders] of candidates) {
      const best = holders.reduce<string | undefined>(
        (chosen, peerId) =>
          chosen === undefined || shares.get(peerId)! > shares.get(chosen)! ? peerId : chosen,
        undefined,
      );
      if (best === undefined) continue;
      const share = assigned.get(best);
      if (share === undefined) assigned.set(best, [path]);
      else share.push(path);
    }
    return assigned;
  }
}
