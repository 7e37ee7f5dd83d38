import { join } from 'node:path';
import { QEMU_FACTOR, ROSETTA_FACTOR } from './constants.ts';
import { readKernelFile, readKernelFolder } from './kernel-file.ts';

/** A binary format that another program than the kernel runs (binfmt_misc). */
export interface ForeignFormat {
  /** The processor, as Nix's systems call it. */
  cpus: readonly string[];
  /** Translated by Apple's Rosetta, which Linux guests may use too. */
  rosetta: boolean;
}

/**
 * Systems this machine only emulates, each with a first guess at how fast a build is compared to a native one; homes know better once
 * there were builds. What Nix does not offer (`extra-platforms`) stays out, whatever formats the kernel knows.
 * @param systems Nix systems it builds for, its own first
 */
export function emulatedSystems(
  systems: readonly string[],
  formats: readonly ForeignFormat[],
): Record<string, number> {
  const [native = '', ...others] = systems;
  const factors: Record<string, number> = {};
  for (const system of others) {
    const guess = firstGuess(native, system, formats);
    if (guess !== undefined) factors[system] = guess;
  }
  return factors;
}

/** The formats that are registered and switched on; none on other systems than Linux. */
export async function foreignFormats(
  directory = '/proc/sys/fs/binfmt_misc',
): Promise<readonly ForeignFormat[]> {
  const names = await readKernelFolder(directory);
  const formats = await Promise.all(
    names
      .filter((name) => name !== 'register' && name !== 'status')
      .map(async (name) => foreignFormat((await readKernelFile(join(directory, name))) ?? '')),
  );
  return formats.filter((format) => format !== undefined);
}

function firstGuess(native: string, system: string, formats: readonly ForeignFormat[]): number | undefined {
  const cpu = cpuOf(system);
  if (cpu === cpuOf(native)) return undefined;
  if (native.endsWith('-darwin')) return ROSETTA_FACTOR;
  const format = formats.find(({ cpus }) => cpus.includes(cpu));
  if (format !== undefined) return format.rosetta ? ROSETTA_FACTOR : QEMU_FACTOR;
  // binfmt_misc may be out of sight (a container): a processor that cannot run it itself emulates it somehow.
  return runsItself(cpuOf(native), cpu) ? undefined : QEMU_FACTOR;
}

/** Of `x86_64-linux`, and of `x86_64-v3-linux`, which Nix derives from what the processor itself says. */
function cpuOf(system: string): string {
  return system.split('-', 1)[0] ?? '';
}

/** 32-bit programs that 64-bit processors (and their kernels) run by themselves. */
const COMPATIBLE: Readonly<Record<string, readonly string[]>> = {
  x86_64: ['i386', 'i486', 'i586', 'i686'],
  i686: ['i386', 'i486', 'i586'],
  aarch64: ['armv5tel', 'armv6l', 'armv7a', 'armv7l', 'armv8l', 'arm'],
  armv7l: ['armv5tel', 'armv6l', 'armv7a', 'arm'],
  powerpc64: ['powerpc'],
  mips64: ['mips'],
  mips64el: ['mipsel'],
  sparc64: ['sparc'],
};

function runsItself(native: string, cpu: string): boolean {
  return COMPATIBLE[native]?.includes(cpu) ?? false;
}

/** Offsets in an ELF header (gABI, chapter 4): class, byte order, machine. */
const EI_CLASS = 4;
const EI_DATA = 5;
const E_MACHINE = 18;

/** `e_machine`/bits/order to the processors Nix knows it by (lib/systems/parse.nix of nixpkgs). */
const CPUS: Readonly<Record<string, readonly string[]>> = {
  '3/32/le': ['i386', 'i486', 'i586', 'i686'],
  '8/32/be': ['mips'],
  '8/32/le': ['mipsel'],
  '8/64/be': ['mips64'],
  '8/64/le': ['mips64el'],
  '20/32/be': ['powerpc'],
  '21/64/be': ['powerpc64'],
  '21/64/le': ['powerpc64le'],
  '22/64/be': ['s390x'],
  '40/32/le': ['armv5tel', 'armv6l', 'armv7a', 'armv7l', 'armv8l', 'arm'],
  '43/64/be': ['sparc64'],
  '62/64/le': ['x86_64'],
  '183/64/le': ['aarch64'],
  '243/32/le': ['riscv32'],
  '243/64/le': ['riscv64'],
  '258/64/le': ['loongarch64'],
};

/**
 * One file of binfmt_misc (Documentation/admin-guide/binfmt-misc.rst): `enabled`, `interpreter PATH`, `magic HEX` among its lines. The
 * magic is the beginning of an ELF header and names the processor; entries' and interpreters' names differ between distributions.
 */
function foreignFormat(text: string): ForeignFormat | undefined {
  if (!/^enabled$/m.test(text)) return undefined;
  const hex = /^magic ([0-9a-f]+)$/m.exec(text)?.[1];
  if (hex === undefined || Number(/^offset (\d+)$/m.exec(text)?.[1] ?? 0) !== 0) return undefined;
  const header = Buffer.from(hex, 'hex');
  if (header.length < E_MACHINE + 2 || header.toString('latin1', 1, 4) !== 'ELF') return undefined;
  const bigEndian = header[EI_DATA] === 2;
  const machine = bigEndian ? header.readUInt16BE(E_MACHINE) : header.readUInt16LE(E_MACHINE);
  const cpus = CPUS[`${machine}/${header[EI_CLASS] === 1 ? 32 : 64}/${bigEndian ? 'be' : 'le'}`];
  return cpus && { cpus, rosetta: /^interpreter .*rosetta/m.test(text) };
}
