import type { DrvPath } from './types.ts';

/** What the graph keeps in each of its vertices; the owner's vertex type has more. */
export interface Vertex<Self> {
  readonly drvPath: DrvPath;
  /** At the shortest: what counts on a longest path. */
  predictedMs: number;
  /** Known ones only; filled by the graph. */
  readonly dependencies: Self[];
  readonly dependants: Self[];
  /** Longest path to a root counted in predicted milliseconds, this vertex's own time included. */
  bLevelMs: number;
  /** The graph's own, for its walks. */
  mark: number;
}

/** Graphs up to this size get exact priorities at every refresh; larger ones when they grew by an eighth. */
const ALWAYS_REFRESH_VERTICES = 2_000;

/**
 * Derivations and what they depend on, growing in any order. b-levels follow in O(V+E) over the whole growth: a new
 * vertex gets a provisional one from the dependants known so far, and `refresh` corrects all of them when the graph
 * has grown enough to be worth a walk.
 */
export class DerivationGraph<V extends Vertex<V>> {
  readonly #vertices = new Map<DrvPath, V>();
  /** Dependencies named but not yet added, and who named them. */
  readonly #awaited = new Map<DrvPath, V[]>();
  #dirty: V[] = [];
  #walk = 0;

  get size(): number {
    return this.#vertices.size;
  }

  get(drvPath: DrvPath): V | undefined {
    return this.#vertices.get(drvPath);
  }

  vertices(): MapIterator<V> {
    return this.#vertices.values();
  }

  /** Adds a vertex (once) and links it with the known ones. */
  add(vertex: V, dependencies: readonly DrvPath[]): void {
    if (this.#vertices.has(vertex.drvPath)) throw new Error(`${vertex.drvPath} is in the graph already`);
    this.#vertices.set(vertex.drvPath, vertex);
    for (const path of new Set(dependencies)) {
      const dependency = this.#vertices.get(path);
      if (dependency !== undefined) link(vertex, dependency);
      else {
        const waiting = this.#awaited.get(path);
        if (waiting === undefined) this.#awaited.set(path, [vertex]);
        else waiting.push(vertex);
      }
    }
    for (const dependant of this.#awaited.get(vertex.drvPath) ?? []) link(dependant, vertex);
    this.#awaited.delete(vertex.drvPath);
    vertex.bLevelMs = levelOf(vertex);
    this.#dirty.push(vertex);
  }

  /** Dependencies `vertex` named that nobody has added. */
  awaitedBy(vertex: V): DrvPath[] {
    const paths: DrvPath[] = [];
    for (const [path, waiting] of this.#awaited) if (waiting.includes(vertex)) paths.push(path);
    return paths;
  }

  /** Every vertex with a dependency that nobody has added, and that dependency. */
  *awaited(): Generator<readonly [V, DrvPath]> {
    for (const [path, waiting] of this.#awaited) for (const vertex of waiting) yield [vertex, path];
  }

  /** What a vertex is predicted to take has changed: b-levels below it are due. */
  reweighed(vertex: V): void {
    if (this.#vertices.get(vertex.drvPath) === vertex) this.#dirty.push(vertex);
  }

  /** Takes vertices out. What remains gets its b-levels anew at the next refresh. */
  removeAll(gone: ReadonlySet<V>): void {
    if (gone.size === 0) return;
    const touched = new Set<V>();
    for (const vertex of gone) {
      this.#vertices.delete(vertex.drvPath);
      for (const neighbour of vertex.dependencies) if (!gone.has(neighbour)) touched.add(neighbour);
      for (const neighbour of vertex.dependants) if (!gone.has(neighbour)) touched.add(neighbour);
    }
    for (const vertex of touched) {
      keep(vertex.dependants, gone);
      keep(vertex.dependencies, gone);
    }
    for (const [path, waiting] of this.#awaited) {
      keep(waiting, gone);
      if (waiting.length === 0) this.#awaited.delete(path);
    }
    this.#dirty = [...this.#vertices.values()];
  }

  /**
   * Makes b-levels exact, when that is due or `now` is set. `changed` lists vertices whose b-level moved; `cycles`
   * one path for every circle met that has a vertex added since the last refresh.
   */
  refresh(now: boolean): { readonly changed: V[]; readonly cycles: V[][] } {
    const due = this.size <= ALWAYS_REFRESH_VERTICES || this.#dirty.length * 8 >= this.size;
    if (this.#dirty.length === 0 || !(now || due)) return { changed: [], cycles: [] };
    const { order, cycles } = this.#dependantsFirst(this.#dirty);
    this.#dirty = [];
    const changed: V[] = [];
    for (const vertex of order) {
      const level = levelOf(vertex);
      if (level === vertex.bLevelMs) continue;
      vertex.bLevelMs = level;
      changed.push(vertex);
    }
    return { changed, cycles };
  }

  /** Everything below `from`, every vertex after all its dependants; a circle is cut where the walk closes it. */
  #dependantsFirst(from: readonly V[]): { order: V[]; cycles: V[][] } {
    const open = ++this.#walk;
    const closed = ++this.#walk;
    const order: V[] = [];
    const cycles: V[][] = [];
    const path: V[] = [];
    const next: number[] = [];
    for (const start of from) {
      if (start.mark >= open) continue;
      start.mark = open;
      path.push(start);
      next.push(0);
      while (path.length > 0) {
        const top = path.length - 1;
        const vertex = path[top]!;
        const index = next[top]!;
        if (index === vertex.dependencies.length) {
          vertex.mark = closed;
          order.push(vertex);
          path.pop();
          next.pop();
          continue;
        }
        next[top] = index + 1;
        const dependency = vertex.dependencies[index]!;
        if (dependency.mark === open) cycles.push(path.slice(path.indexOf(dependency)));
        else if (dependency.mark !== closed) {
          dependency.mark = open;
          path.push(dependency);
          next.push(0);
        }
      }
    }
    return { order: order.reverse(), cycles };
  }
}

function levelOf<V extends Vertex<V>>(vertex: V): number {
  let above = 0;
  for (const dependant of vertex.dependants) if (dependant.bLevelMs > above) above = dependant.bLevelMs;
  return vertex.predictedMs + above;
}

function link<V extends Vertex<V>>(dependant: V, dependency: V): void {
  dependant.dependencies.push(dependency);
  dependency.dependants.push(dependant);
}

function keep<V>(list: V[], gone: ReadonlySet<V>): void {
  let kept = 0;
  for (const item of list) if (!gone.has(item)) list[kept++] = item;
  list.length = kept;
}
