import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Figure } from './figure.ts';
import type { Machine } from './machine.ts';

/** The version of {@link BenchResults}; it grows when a field changes its meaning or goes. */
export const RESULTS_VERSION = 1;

/** What the benchmark writes down. */
export interface BenchResults {
  readonly version: typeof RESULTS_VERSION;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly machine: Machine;
  /** Nix's version on the hosts of the lab, of the mesh's builds and the rivals' alike. */
  readonly nix: string;
  readonly hosts: number;
  readonly slotsPerHost: number;
  /** How often each contestant did each work. */
  readonly runs: number;
  readonly figures: readonly Figure[];
}

export function writeResults(path: string, results: BenchResults): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(results, rounded, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/** A thousandth is below anything measured here. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;
}
