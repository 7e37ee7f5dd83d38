import { type BoundGraph, boundGraph, headsOf, tailsOf } from './bound-graph.ts';
import { BoundClasses, type BoundMachine, type Weighing, weighings } from './bound-machines.ts';
import type { DrvPath } from './types.ts';

/** A derivation as the report knows it afterwards: how long its build really took, and what it had to wait for. */
export interface MeasuredDerivation {
  readonly drvPath: DrvPath;
  /** On a machine of speed 1; with one core where `parallel` says that more help. */
  readonly durationMs: number;
  /** Paths not in the list count as nothing to wait for. */
  readonly dependencies: readonly DrvPath[];
  /** Absent: every machine can build it. */
  readonly system?: string | undefined;
  readonly requiredFeatures?: readonly string[] | undefined;
  /** Share of its work that more cores divide (Amdahl); absent: 0. */
  readonly parallel?: number | undefined;
}

/** Times no schedule can be shorter than, each for a reason of its own. Milliseconds. */
export interface LowerBounds {
  /** The longest chain, each link on the fastest machine able to build it, with all of its cores. */
  readonly pathMs: number;
  /** All work spread over all machines able to do it. */
  readonly areaMs: number;
  /** The k longest derivations on the k fastest slots (Horvath, Lam and Sethi 1977). */
  readonly longestMs: number;
  /** Work that can only start after something and is followed by something, spread over the machines in between. */
  readonly middleMs: number;
  /** The largest. */
  readonly ms: number;
}

/** Thresholds for heads and tails each; the bound stays valid with few, it only gets a little lower. */
const GRID = 60;

/**
 * The longest chain of derivations that wait for each other, with machines each on the fastest one able to build it.
 * @throws {CycleError} SCHEDULE_CYCLE
 */
export function criticalPath(
  nodes: readonly MeasuredDerivation[],
  machines?: readonly BoundMachine[],
): { ms: number; path: DrvPath[] } {
  const graph = boundGraph(nodes);
  const durations = Float64Array.from(graph.nodes, (node) => node.durationMs);
  if (machines !== undefined) shortest(graph, durations, machines);
  const heads = headsOf(graph, durations);
  const { order, starts, edges } = graph;
  let last = -1;
  for (const n of order)
    if (last < 0 || heads[n]! + durations[n]! > heads[last]! + durations[last]!) last = n;
  if (last < 0) return { ms: 0, path: [] };
  const ms = heads[last]! + durations[last]!;
  const path: DrvPath[] = [];
  for (let n: number | undefined = last; n !== undefined; ) {
    path.push(graph.nodes[n]!.drvPath);
    const start: number = heads[n]!;
    const needs: Int32Array = edges.subarray(starts[n]!, starts[n + 1]!);
    n = needs.find((d) => heads[d]! + durations[d]! === start);
  }
  return { ms, path: path.reverse() };
}

/**
 * No schedule on these machines can take less. A number stands for as many equal slots. Milliseconds.
 * @throws {CycleError} SCHEDULE_CYCLE
 */
export function lowerBoundMs(
  nodes: readonly MeasuredDerivation[],
  machines: number | readonly BoundMachine[],
): number {
  return lowerBounds(nodes, typeof machines === 'number' ? [{ slots: machines }] : machines).ms;
}

/**
 * The bounds one by one: critical path; area; k longest; and head + area + tail for the work that can only start after `head`
 * and is followed by `tail` at least (Fernández and Bussell 1973; Carlier and Pinson 1989), here with unequal machines
 * and for every group of derivations that the same machines can build. O(V + E) and a constant grid.
 * @throws {CycleError} SCHEDULE_CYCLE
 */
export function lowerBounds(
  nodes: readonly MeasuredDerivation[],
  machines: readonly BoundMachine[],
): LowerBounds {
  const graph = boundGraph(nodes);
  const durations = new Float64Array(graph.nodes.length);
  const { classOf, classes } = shortest(graph, durations, machines);
  const work = Float64Array.from(graph.nodes, (node) => node.durationMs);
  const total = classes.map(() => 0);
  for (const [n, c] of classOf.entries()) total[c]! += work[n]!;
  const someParallel = graph.nodes.some((node) => (node.parallel ?? 0) > 0);
  const widths = machines.map(({ slots, cores }) => (someParallel ? Math.max(slots, cores ?? 0) : slots));
  const tried = weighings(classes, machines, widths, total).filter(({ capacity }) => capacity > 0);
  const heads = headsOf(graph, durations);
  const tails = tailsOf(graph, durations);

  let pathMs = 0;
  for (const n of graph.order) pathMs = Math.max(pathMs, heads[n]! + durations[n]! + tails[n]!);
  let areaMs = 0;
  let longestMs = 0;
  for (const weighing of tried) {
    const { weights, capacity } = weighing;
    areaMs = Math.max(areaMs, total.reduce((sum, each, c) => sum + weights[c]! * each, 0) / capacity);
    longestMs = Math.max(longestMs, longest(weighing, graph, durations, classOf, classes));
  }
  const middleMs = middle(tried, heads, tails, work, classOf, classes.length);
  return { pathMs, areaMs, longestMs, middleMs, ms: Math.max(pathMs, areaMs, longestMs, middleMs) };
}

/** Fills in how long each derivation takes where it takes least, and says which class it is of. */
function shortest(
  graph: BoundGraph<MeasuredDerivation>,
  durations: Float64Array,
  machines: readonly BoundMachine[],
): { classOf: Int32Array; classes: BoundClasses['classes'] } {
  const sorted = new BoundClasses(machines);
  const classOf = Int32Array.from(graph.nodes, (node) => sorted.indexOf(node));
  const width = machines.reduce((most, { slots, cores }) => Math.max(most, cores ?? slots), 1);
  for (const [n, node] of graph.nodes.entries()) {
    const { fastest } = sorted.classes[classOf[n]!]!;
    durations[n] = fastest > 0 ? oneAtATime(node, width) / fastest : 0;
  }
  return { classOf, classes: sorted.classes };
}

/** Duration at speed 1 with this many cores. */
function oneAtATime({ durationMs, parallel = 0 }: MeasuredDerivation, cores: number): number {
  return durationMs * (1 - parallel + parallel / Math.max(1, cores));
}

/** The k longest on the k fastest slots, for every k: even sharing slots evenly they cannot all end sooner. */
function longest(
  { weights, slotRates }: Weighing,
  graph: BoundGraph<MeasuredDerivation>,
  durations: Float64Array,
  classOf: Int32Array,
  classes: BoundClasses['classes'],
): number {
  const lengths = new Float64Array(graph.nodes.length);
  let count = 0;
  for (const [n, c] of classOf.entries())
    if (weights[c]! > 0) lengths[count++] = weights[c]! * durations[n]! * classes[c]!.fastest;
  const sorted = lengths.subarray(0, count).sort();
  let bound = 0;
  let work = 0;
  let rate = 0;
  for (let k = 0; k < Math.min(count, slotRates.length); k++) {
    work += sorted[count - 1 - k]!;
    rate += slotRates[k]!;
    bound = Math.max(bound, work / rate);
  }
  return bound;
}

function middle(
  tried: readonly Weighing[],
  heads: Float64Array,
  tails: Float64Array,
  work: Float64Array,
  classOf: Int32Array,
  classes: number,
): number {
  const rising = thresholds(heads);
  const falling = thresholds(tails);
  const [rows, columns] = [rising.length, falling.length];
  // Sums over all nodes with at least that head and that tail, by inclusion and exclusion from the far corner.
  const sums = Array.from({ length: classes + 1 }, () => new Float64Array((rows + 1) * (columns + 1)));
  const count = sums[classes]!;
  const at = (h: number, t: number) => h * (columns + 1) + t;
  for (const [n, c] of classOf.entries()) {
    const cell = at(below(rising, heads[n]!), below(falling, tails[n]!));
    sums[c]![cell]! += work[n]!;
    count[cell]!++;
  }
  let bound = 0;
  for (let h = rows - 1; h >= 0; h--) {
    for (let t = columns - 1; t >= 0; t--) {
      for (const sum of sums)
        sum[at(h, t)]! += sum[at(h, t + 1)]! + sum[at(h + 1, t)]! - sum[at(h + 1, t + 1)]!;
      // Head and tail bound nothing where no node has both.
      if (count[at(h, t)]! === 0) continue;
      let area = 0;
      for (const { weights, capacity } of tried) {
        let weighted = 0;
        for (let c = 0; c < classes; c++) weighted += weights[c]! * sums[c]![at(h, t)]!;
        area = Math.max(area, weighted / capacity);
      }
      bound = Math.max(bound, rising[h]! + area + falling[t]!);
    }
  }
  return bound;
}

/** At most GRID different values out of these, the smallest among them, rising. */
function thresholds(values: Float64Array): number[] {
  const sorted = values.slice().sort();
  const distinct = [...sorted.filter((value, i) => i === 0 || value !== sorted[i - 1])];
  if (distinct.length <= GRID) return distinct;
  return Array.from({ length: GRID }, (_, i) => distinct[Math.floor((i * distinct.length) / GRID)]!);
}

/** Index of the largest threshold that is not above `value`. */
function below(rising: readonly number[], value: number): number {
  let low = 0;
  let high = rising.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rising[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
