import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { type BuildGraph, DEFAULT_SYSTEM } from './build-graph.ts';
import { SimulatorError } from './errors.ts';

/** More would not fit into memory beside its simulation. */
const MAX_DERIVATIONS = 1_000_000;
const MAX_FILE_BYTES = 2 ** 30;

/**
 * A graph in the format of the recorded ones (`test/dags/README.md`), as `.json` or `.json.gz`. The optional column
 * `requiredFeatures` (a list of lists) is understood too; unknown columns are ignored.
 * @throws {SimulatorError} SIMULATOR_GRAPH
 */
export function readGraphFile(path: string): BuildGraph {
  let text: string;
  try {
    const bytes = readFileSync(path);
    text = (path.endsWith('.gz') ? gunzipSync(bytes, { maxOutputLength: MAX_FILE_BYTES }) : bytes).toString();
  } catch (error) {
    throw wrong(path, `cannot be read: ${(error as Error).message}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong(path, `is not JSON: ${(error as Error).message}`);
  }
  return parseGraph(value, path);
}

/**
 * Checks what a graph file says.
 * @throws {SimulatorError} SIMULATOR_GRAPH
 */
export function parseGraph(value: unknown, path: string): BuildGraph {
  if (typeof value !== 'object' || value === null) throw wrong(path, 'is not an object');
  const file = value as Record<string, unknown>;
  const names = column(file, 'names', path);
  const count = names.length;
  if (count > MAX_DERIVATIONS) throw wrong(path, `has more than ${MAX_DERIVATIONS} derivations`);
  const costs = column(file, 'cpuSeconds', path, count);
  const bytes = column(file, 'outBytes', path, count);
  const needs = column(file, 'deps', path, count);
  const systems = file.system === undefined ? undefined : column(file, 'system', path, count);
  const features =
    file.requiredFeatures === undefined ? undefined : column(file, 'requiredFeatures', path, count);
  const known = Array.isArray(file.systems) ? file.systems[0] : undefined;
  const fallback = typeof known === 'string' ? known : DEFAULT_SYSTEM;
  return {
    name: typeof file.name === 'string' ? file.name : path,
    names: names.map((name, i) => {
      if (typeof name !== 'string') throw wrong(path, `has no name for derivation ${i}`);
      return name;
    }),
    dependencies: needs.map((list, i) => {
      const before = (n: unknown) => Number.isInteger(n) && (n as number) >= 0 && (n as number) < i;
      if (!Array.isArray(list) || !list.every(before))
        throw wrong(path, `has dependencies of derivation ${i} that do not come before it`);
      return list as number[];
    }),
    workMs: costs.map((seconds, i) => {
      if (seconds === null) return undefined;
      if (typeof seconds !== 'number' || !(seconds >= 0) || !Number.isFinite(seconds))
        throw wrong(path, `has a cost of derivation ${i} that is no number of seconds`);
      return seconds * 1_000;
    }),
    outputBytes: bytes.map((size, i) => {
      if (size === null) return 0;
      if (typeof size !== 'number' || !(size >= 0) || !Number.isFinite(size))
        throw wrong(path, `has an output of derivation ${i} that is no number of bytes`);
      return size;
    }),
    systems: names.map((_, i) => {
      const system = systems?.[i] ?? fallback;
      if (typeof system !== 'string') throw wrong(path, `has no system for derivation ${i}`);
      return system;
    }),
    requiredFeatures: names.map((_, i) => {
      const list = features?.[i] ?? [];
      if (!Array.isArray(list) || !list.every((feature) => typeof feature === 'string'))
        throw wrong(path, `has features of derivation ${i} that are no list of names`);
      return list as string[];
    }),
  };
}

function column(file: Record<string, unknown>, name: string, path: string, length?: number): unknown[] {
  const value = file[name];
  if (!Array.isArray(value)) throw wrong(path, `has no list "${name}"`);
  if (length !== undefined && value.length !== length)
    throw wrong(path, `has ${value.length} entries in "${name}" for ${length} derivations`);
  return value;
}

function wrong(path: string, what: string): SimulatorError {
  return new SimulatorError('SIMULATOR_GRAPH', `The graph ${path} ${what}.`);
}
