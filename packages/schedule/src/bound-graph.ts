import { CycleError } from './errors.ts';
import type { DrvPath } from './types.ts';

interface BoundNode {
  readonly drvPath: DrvPath;
  readonly dependencies: readonly DrvPath[];
}

/** A graph in arrays: node numbers, dependencies first, with edges to the nodes of the graph only. */
export interface BoundGraph<Node extends BoundNode> {
  readonly nodes: readonly Node[];
  /** Numbers of nodes, dependencies before what needs them. */
  readonly order: Int32Array;
  /** What node n needs is `edges[starts[n]]` to `edges[starts[n + 1] - 1]`. */
  readonly starts: Int32Array;
  readonly edges: Int32Array;
}

/**
 * Of nodes with the same path the last counts.
 * @throws {CycleError} SCHEDULE_CYCLE
 */
export function boundGraph<Node extends BoundNode>(all: readonly Node[]): BoundGraph<Node> {
  const byPath = new Map(all.map((node) => [node.drvPath, node]));
  const nodes = byPath.size === all.length ? all : [...byPath.values()];
  const count = nodes.length;
  const numbers = new Map<DrvPath, number>();
  for (const [n, node] of nodes.entries()) numbers.set(node.drvPath, n);
  const starts = new Int32Array(count + 1);
  const needed: number[] = [];
  const dependants = new Int32Array(count + 1);
  for (const [n, node] of nodes.entries()) {
    for (const dependency of node.dependencies) {
      const d = numbers.get(dependency);
      if (d === undefined) continue;
      needed.push(d);
      dependants[d + 1]!++;
    }
    starts[n + 1] = needed.length;
  }
  const edges = Int32Array.from(needed);
  for (let n = 0; n < count; n++) dependants[n + 1]! += dependants[n]!;
  const upward = new Int32Array(edges.length);
  const filled = dependants.slice(0, count);
  for (let n = 0; n < count; n++)
    for (let e = starts[n]!; e < starts[n + 1]!; e++) upward[filled[edges[e]!]!++] = n;

  const order = new Int32Array(count);
  const waits = new Int32Array(count);
  let known = 0;
  for (let n = 0; n < count; n++) {
    waits[n] = starts[n + 1]! - starts[n]!;
    if (waits[n] === 0) order[known++] = n;
  }
  for (let i = 0; i < known; i++) {
    const n = order[i]!;
    for (let e = dependants[n]!; e < dependants[n + 1]!; e++)
      if (--waits[upward[e]!]! === 0) order[known++] = upward[e]!;
  }
  if (known < count) throw new CycleError(circleAmong(nodes, waits, starts, edges));
  return { nodes, order, starts, edges };
}

function circleAmong(
  nodes: readonly BoundNode[],
  waits: Int32Array,
  starts: Int32Array,
  edges: Int32Array,
): DrvPath[] {
  const path: number[] = [];
  let at = waits.findIndex((left) => left > 0);
  // A derivation that still waits has a dependency that does: following them must come round.
  while (!path.includes(at)) {
    path.push(at);
    at = edges.subarray(starts[at]!, starts[at + 1]!).find((d) => waits[d]! > 0)!;
  }
  return path.slice(path.indexOf(at)).map((n) => nodes[n]!.drvPath);
}

/** The longest work before each node, given how long each takes. */
export function headsOf(graph: BoundGraph<BoundNode>, durations: Float64Array): Float64Array {
  const { order, starts, edges } = graph;
  const heads = new Float64Array(order.length);
  for (const n of order) {
    let head = 0;
    for (let e = starts[n]!; e < starts[n + 1]!; e++)
      head = Math.max(head, heads[edges[e]!]! + durations[edges[e]!]!);
    heads[n] = head;
  }
  return heads;
}

/** The longest work after each node. */
export function tailsOf(graph: BoundGraph<BoundNode>, durations: Float64Array): Float64Array {
  const { order, starts, edges } = graph;
  const tails = new Float64Array(order.length);
  for (let i = order.length - 1; i >= 0; i--) {
    const n = order[i]!;
    const after = tails[n]! + durations[n]!;
    for (let e = starts[n]!; e < starts[n + 1]!; e++) if (tails[edges[e]!]! < after) tails[edges[e]!] = after;
  }
  return tails;
}
