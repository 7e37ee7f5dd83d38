import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { repositoryRoot } from '@mesh/lab';
import { lowerBoundMs } from '@mesh/schedule';
import { machinesOf, type Shape } from './bench-lab.ts';

/** A build graph as `test/dags` keeps it; one entry a node in each list. */
export interface RecordedGraph {
  readonly name: string;
  readonly systems: readonly string[];
  readonly names: readonly string[];
  readonly deps: readonly (readonly number[])[];
  /** Seconds of one core; null is a download. */
  readonly cpuSeconds: readonly (number | null)[];
}

export const DAG_NIX = join(repositoryRoot, 'test/dags/dag.nix');

export function recordedGraph(name: string): RecordedGraph {
  const packed = readFileSync(join(repositoryRoot, `test/dags/${name}.json.gz`));
  return JSON.parse(gunzipSync(packed).toString('utf8')) as RecordedGraph;
}

/** `count` derivations of `seconds` each, side by side. */
export function wideGraph(count: number, seconds: number): RecordedGraph {
  const nodes = Array.from({ length: count }, (_, i) => i);
  return {
    name: 'wide',
    systems: ['x86_64-linux'],
    names: nodes.map((i) => `wide-${i}`),
    deps: nodes.map(() => []),
    cpuSeconds: nodes.map(() => seconds),
  };
}

/** Seconds that no schedule on these hosts can beat, when every node sleeps its cost times `scale`. */
export function boundSeconds(graph: RecordedGraph, scale: number, shape: Shape): number {
  const nodes = graph.deps.map((deps, i) => ({
    drvPath: String(i),
    durationMs: (graph.cpuSeconds[i] ?? 0) * scale * 1000,
    dependencies: deps.map(String),
  }));
  return lowerBoundMs(nodes, machinesOf(shape)) / 1000;
}
