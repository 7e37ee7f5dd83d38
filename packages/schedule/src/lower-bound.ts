import { CycleError } from './errors.ts';
import type { DrvPath } from './types.ts';

/** A derivation as the report knows it afterwards: how long its build really took, and what it had to wait for. */
export interface MeasuredDerivation {
  readonly drvPath: DrvPath;
  readonly durationMs: number;
  /** Paths not in the list count as nothing to wait for. */
  readonly dependencies: readonly DrvPath[];
}

/** Thresholds for heads and tails each; the bound stays valid with few, it only gets a little lower. */
const GRID = 60;

/**
 * The longest chain of derivations that wait for each other.
 * @throws {CycleError} SCHEDULE_CYCLE
 */
export function criticalPath(nodes: readonly MeasuredDerivation[]): { ms: number; path: DrvPath[] } {
  const { order, head } = headsOf(nodes);
  let last: MeasuredDerivation | undefined;
  for (const node of order) if (last === undefined || endOf(node, head) > endOf(last, head)) last = node;
  if (last === undefined) return { ms: 0, path: [] };
  const ms = endOf(last, head);
  const byPath = new Map(nodes.map((node) => [node.drvPath, node]));
  const path: DrvPath[] = [];
  for (let node: MeasuredDerivation | undefined = last; node !== undefined; ) {
    path.push(node.drvPath);
    const start: number = head.get(node.drvPath)!;
    const before: (MeasuredDerivation | undefined)[] = node.dependencies.map((d) => byPath.get(d));
    node = before.find((d) => d !== undefined && endOf(d, head) === start);
  }
  return { ms, path: path.reverse() };
}

/**
 * No schedule on `slots` equal slots can take less: the largest of the critical path, the area (all work divided by
 * the slots) and head + area + tail for the work that can only start after `head` and is followed by `tail` at
 * least (Fernández and Bussell 1973; Carlier and Pinson 1989). Milliseconds.
 * @throws {CycleError} SCHEDULE_CYCLE
 */
export function lowerBoundMs(nodes: readonly MeasuredDerivation[], slots: number): number {
  const { order, head } = headsOf(nodes);
  const tail = new Map<DrvPath, number>();
  for (const node of order.toReversed()) {
    const below = (tail.get(node.drvPath) ?? 0) + node.durationMs;
    for (const dependency of node.dependencies)
      if (head.has(dependency)) tail.set(dependency, Math.max(tail.get(dependency) ?? 0, below));
  }
  let bound = 0;
  for (const node of order) bound = Math.max(bound, endOf(node, head) + (tail.get(node.drvPath) ?? 0));

  const heads = thresholds(order.map((node) => head.get(node.drvPath)!));
  const tails = thresholds(order.map((node) => tail.get(node.drvPath) ?? 0));
  // Sums over all nodes with at least that head and that tail, by inclusion and exclusion from the far corner.
  const work = heads.map(() => tails.map(() => 0));
  const count = heads.map(() => tails.map(() => 0));
  for (const node of order) {
    const h = below(heads, head.get(node.drvPath)!);
    const t = below(tails, tail.get(node.drvPath) ?? 0);
    work[h]![t]! += node.durationMs;
    count[h]![t]! += 1;
  }
  for (let h = heads.length - 1; h >= 0; h--) {
    for (let t = tails.length - 1; t >= 0; t--) {
      for (const sums of [work, count])
        sums[h]![t]! += (sums[h]![t + 1] ?? 0) + (sums[h + 1]?.[t] ?? 0) - (sums[h + 1]?.[t + 1] ?? 0);
      // Head and tail bound nothing where no node has both.
      if (count[h]![t]! > 0) bound = Math.max(bound, heads[h]! + work[h]![t]! / slots + tails[t]!);
    }
  }
  return bound;
}

/** Dependencies first, and for each the longest work before it. */
function headsOf(nodes: readonly MeasuredDerivation[]): {
  order: MeasuredDerivation[];
  head: Map<DrvPath, number>;
} {
  const byPath = new Map(nodes.map((node) => [node.drvPath, node]));
  const waits = new Map<DrvPath, number>();
  const dependants = new Map<DrvPath, MeasuredDerivation[]>();
  for (const node of byPath.values()) {
    const known = [...new Set(node.dependencies)].filter((d) => byPath.has(d));
    waits.set(node.drvPath, known.length);
    for (const dependency of known) {
      const list = dependants.get(dependency);
      if (list === undefined) dependants.set(dependency, [node]);
      else list.push(node);
    }
  }
  const order = [...byPath.values()].filter((node) => waits.get(node.drvPath) === 0);
  const head = new Map<DrvPath, number>(order.map((node) => [node.drvPath, 0]));
  for (const node of order) {
    const end = endOf(node, head);
    for (const dependant of dependants.get(node.drvPath) ?? []) {
      head.set(dependant.drvPath, Math.max(head.get(dependant.drvPath) ?? 0, end));
      const left = waits.get(dependant.drvPath)! - 1;
      waits.set(dependant.drvPath, left);
      if (left === 0) order.push(dependant);
    }
  }
  if (order.length < byPath.size) throw new CycleError(circleAmong(byPath, waits));
  return { order, head };
}

function circleAmong(
  byPath: ReadonlyMap<DrvPath, MeasuredDerivation>,
  waits: ReadonlyMap<DrvPath, number>,
): DrvPath[] {
  const path: DrvPath[] = [];
  let at = [...waits].find(([, left]) => left > 0)![0];
  // A derivation that still waits has a dependency that does: following them must come round.
  while (!path.includes(at)) {
    path.push(at);
    at = byPath.get(at)!.dependencies.find((d) => (waits.get(d) ?? 0) > 0)!;
  }
  return path.slice(path.indexOf(at));
}

function endOf(node: MeasuredDerivation, head: ReadonlyMap<DrvPath, number>): number {
  return head.get(node.drvPath)! + node.durationMs;
}

/** At most GRID different values out of these, the smallest among them, rising. */
function thresholds(values: readonly number[]): number[] {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
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
