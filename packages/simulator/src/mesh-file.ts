import { readFileSync } from 'node:fs';
import { DEFAULT_SYSTEM } from './build-graph.ts';
import { SimulatorError } from './errors.ts';
import type { Machine, Mesh } from './machine.ts';

/** More machines than any LAN has. */
const MAX_MACHINES = 10_000;
const MAX_SLOTS = 4_096;

const MIB = 2 ** 20;
/** A gigabit link, usable part. */
const DEFAULT_MBIT = 936;
const BYTES_PER_MS_AT_ONE_MBIT = 125;
const DEFAULT_MEMORY_MIB = 16_384;

/**
 * A mesh from a JSON file: `{"version": 1, "name"?: string, "machines": [MACHINE, …]}`, the first where jobs are submitted.
 * MACHINE is `{"name": string, "speed": number, "cores": number, "slots"?: number (absent: cores), "memoryMiB"?: number,
 * "downMbit"?: number, "upMbit"?: number (megabits a second), "systems"?: [string], "emulated"?: {system: relative speed},
 * "features"?: [string]}`. Unknown fields are ignored.
 * @throws {SimulatorError} SIMULATOR_MESH
 */
export function readMeshFile(path: string): Mesh {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw wrong(path, `cannot be read: ${(error as Error).message}`);
  }
  return parseMesh(value, path);
}

/**
 * Checks what a mesh file says.
 * @throws {SimulatorError} SIMULATOR_MESH
 */
export function parseMesh(value: unknown, path: string): Mesh {
  if (!isRecord(value)) throw wrong(path, 'is not an object');
  const { version, name, machines } = value;
  if (version !== 1)
    throw wrong(path, `is of version ${JSON.stringify(version)}; this simulator reads version 1`);
  if (!Array.isArray(machines) || machines.length === 0 || machines.length > MAX_MACHINES)
    throw wrong(path, `needs a list "machines" of 1 to ${MAX_MACHINES}`);
  const parsed = machines.map((machine, i) => parseMachine(machine, i, path));
  const names = new Set(parsed.map((machine) => machine.name));
  if (names.size < parsed.length) throw wrong(path, 'has two machines of the same name');
  return { name: typeof name === 'string' ? name : path, machines: parsed };
}

function parseMachine(value: unknown, index: number, path: string): Machine {
  if (!isRecord(value)) throw wrong(path, `has a machine ${index} that is not an object`);
  const { name } = value;
  if (typeof name !== 'string' || name === '') throw wrong(path, `has a machine ${index} without a name`);
  const number = (field: string, least: number, most: number, absent?: number): number => {
    const found = value[field] ?? absent;
    if (typeof found !== 'number' || !(found >= least && found <= most))
      throw wrong(path, `needs a number "${field}" from ${least} to ${most} for machine ${name}`);
    return found;
  };
  const whole = (field: string, most: number, absent?: number): number => {
    const found = number(field, 1, most, absent);
    if (!Number.isInteger(found)) throw wrong(path, `needs a whole number "${field}" for machine ${name}`);
    return found;
  };
  const list = (field: string, absent: readonly string[]): readonly string[] => {
    const found = value[field] ?? absent;
    if (!Array.isArray(found) || !found.every((each) => typeof each === 'string'))
      throw wrong(path, `needs a list of names "${field}" for machine ${name}`);
    return found;
  };
  const cores = whole('cores', MAX_SLOTS);
  const emulated = value.emulated ?? {};
  if (!isRecord(emulated) || !Object.values(emulated).every((rate) => typeof rate === 'number' && rate > 0))
    throw wrong(path, `needs relative speeds over 0 in "emulated" for machine ${name}`);
  const native = list('systems', [DEFAULT_SYSTEM]);
  return {
    name,
    speed: number('speed', 1e-3, 1e3),
    cores,
    slots: whole('slots', MAX_SLOTS, cores),
    memoryBytes: number('memoryMiB', 1, 1e9, DEFAULT_MEMORY_MIB) * MIB,
    downBytesPerMs: number('downMbit', 1e-3, 1e6, DEFAULT_MBIT) * BYTES_PER_MS_AT_ONE_MBIT,
    upBytesPerMs: number('upMbit', 1e-3, 1e6, DEFAULT_MBIT) * BYTES_PER_MS_AT_ONE_MBIT,
    systems: [...new Set([...native, ...Object.keys(emulated)])],
    emulated: emulated as Record<string, number>,
    features: list('features', []),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(path: string, what: string): SimulatorError {
  return new SimulatorError('SIMULATOR_MESH', `The mesh file ${path} ${what}.`);
}
