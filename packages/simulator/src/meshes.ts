import { SimulatorError } from './errors.ts';
import type { Machine, Mesh } from './machine.ts';

/** Usable bytes per millisecond of a link. */
const GIGABIT = 117_000;
const FAST_ETHERNET = 11_700;
const WIFI = 30_000;

const GIB = 2 ** 30;

/** Speed, cores (a slot each), memory in GiB, link. */
type Row = readonly [name: string, speed: number, cores: number, memoryGib: number, link: number];

const LAN8: readonly Row[] = [
  ['home', 1, 4, 16, GIGABIT],
  ['tower', 2, 8, 32, GIGABIT],
  ['server', 1.2, 16, 64, GIGABIT],
  ['desk', 1.5, 6, 16, GIGABIT],
  ['laptop', 1.1, 4, 16, WIFI],
  ['nuc', 0.8, 4, 16, GIGABIT],
  ['attic', 0.5, 4, 8, FAST_ETHERNET],
  ['box', 0.6, 2, 4, GIGABIT],
];

const LAN4: readonly Row[] = ['home', 'tower', 'laptop', 'attic'].map(
  (name) => LAN8.find(([other]) => other === name)!,
);

/** Four offices of eight, no two alike: each is LAN8 with other speeds, between 0.5 and 2. */
const LAN32: readonly Row[] = [1, 0.92, 0.84, 1.06].flatMap((factor, office) =>
  LAN8.map(([name, speed, cores, memory, link]): Row => {
    const scaled = Math.min(2, Math.max(0.5, speed * factor));
    return [office === 0 ? name : `${name}${office + 1}`, scaled, cores, memory, link];
  }),
);

const equal = (count: number): Row[] =>
  Array.from({ length: count }, (_, i): Row => [i === 0 ? 'home' : `m${i + 1}`, 1, 4, 16, GIGABIT]);

const PRESETS: Readonly<Record<string, readonly Row[]>> = {
  lan4: LAN4,
  lan8: LAN8,
  lan32: LAN32,
  equal4: equal(4),
  equal8: equal(8),
};

export const PRESET_NAMES: readonly string[] = Object.keys(PRESETS);

const X86 = ['x86_64-linux', 'i686-linux'];
const ARM = ['aarch64-linux', 'armhf-linux'];
/** User-mode emulation of another processor's builds (QEMU): about a tenth of the native speed. */
const EMULATED_SPEED = 0.1;
/** Where ARM builds are asked for, one machine in so many is an ARM machine. */
const ARM_EVERY = 4;

/**
 * A mesh by name. Machines run what x86_64 runs; where `systems` (those of the graph) need it, every fourth is an ARM machine and
 * all emulate what they are not.
 * @throws {SimulatorError} SIMULATOR_MESH
 */
export function presetMesh(name: string, systems: readonly string[]): Mesh {
  const rows = PRESETS[name];
  if (rows === undefined) {
    const known = PRESET_NAMES.join(', ');
    throw new SimulatorError(
      'SIMULATOR_MESH',
      `There is no mesh "${name}"; there are ${known}, or give a .json file.`,
    );
  }
  const foreign = systems.filter((system) => !X86.includes(system) && system !== 'builtin');
  return { name, machines: rows.map((row, index) => machineOf(row, index, foreign)) };
}

function machineOf(row: Row, index: number, foreign: readonly string[]): Machine {
  const [name, speed, cores, memoryGib, link] = row;
  const isArm = foreign.length > 0 && index % ARM_EVERY === ARM_EVERY - 1;
  const native = isArm ? ARM : X86;
  const others =
    foreign.length === 0 ? [] : [...new Set([...X86, ...foreign])].filter((s) => !native.includes(s));
  return {
    name,
    speed,
    cores,
    slots: cores,
    memoryBytes: memoryGib * GIB,
    downBytesPerMs: link,
    upBytesPerMs: link,
    systems: [...native, ...others],
    emulated: Object.fromEntries(others.map((system) => [system, EMULATED_SPEED])),
    features: cores >= 4 ? ['benchmark', 'big-parallel', 'kvm', 'nixos-test'] : ['benchmark', 'nixos-test'],
  };
}
