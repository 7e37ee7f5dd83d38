import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { QEMU_FACTOR, ROSETTA_FACTOR } from './constants.ts';
import { emulatedSystems, type ForeignFormat, foreignFormats } from './emulation.ts';

/** As Debian's qemu-user-static registers it. */
const ARM64 = `enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
`;

describe('formats that another program runs', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mesh-binfmt-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  async function registered(...entries: string[]): Promise<readonly ForeignFormat[]> {
    const folder = await mkdtemp(join(directory, 'binfmt-'));
    await writeFile(join(folder, 'register'), '');
    await writeFile(join(folder, 'status'), 'enabled\n');
    for (const [index, text] of entries.entries()) await writeFile(join(folder, `entry-${index}`), text);
    return foreignFormats(folder);
  }

  test('are told by the processor in their ELF header, whatever their names', async () => {
    expect(await registered(ARM64)).toEqual([{ cpus: ['aarch64'], rosetta: false }]);
    const s390 = ARM64.replace(/magic .*/, 'magic 7f454c4602020100000000000000000000020016');
    const riscv = ARM64.replace(/b700$/m, 'f300');
    expect((await registered(s390, riscv)).flatMap(({ cpus }) => cpus)).toEqual(['s390x', 'riscv64']);
  });

  test('that are switched off, or not of programs, do not count', async () => {
    const off = ARM64.replace('enabled', 'disabled');
    const python = 'enabled\ninterpreter /usr/bin/python3\nflags: \noffset 0\nmagic cb0d0d0a\n';
    const java = 'enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n';
    const short = ARM64.replace(/magic .*/, 'magic 7f454c46');
    expect(await registered(off, python, java, short, '', 'nonsense')).toEqual([]);
  });

  test('may be Rosetta', async () => {
    const rosetta = `enabled
interpreter /run/rosetta/rosetta
flags: OCF
offset 0
magic 7f454c4602010100000000000000000002003e00
mask fffffffffffefe00fffffffffffffffffeffffff
`;
    expect(await registered(rosetta)).toEqual([{ cpus: ['x86_64'], rosetta: true }]);
  });

  test('are none where the kernel shows none', async () => {
    await mkdir(join(directory, 'empty'));
    expect(await foreignFormats(join(directory, 'empty'))).toEqual([]);
    expect(await foreignFormats(join(directory, 'absent'))).toEqual([]);
  });
});

describe('systems that are only emulated', () => {
  const arm64: ForeignFormat = { cpus: ['aarch64'], rosetta: false };

  test('are those Nix offers and the kernel gives to another program', () => {
    expect(emulatedSystems(['x86_64-linux', 'aarch64-linux'], [arm64])).toEqual({
      'aarch64-linux': QEMU_FACTOR,
    });
  });

  test('do not include what the kernel could run and Nix does not offer', () => {
    expect(emulatedSystems(['x86_64-linux'], [arm64])).toEqual({});
  });

  test('do not include what the processor runs by itself', () => {
    expect(emulatedSystems(['x86_64-linux', 'i686-linux', 'x86_64-v3-linux'], [])).toEqual({});
    expect(emulatedSystems(['aarch64-linux', 'armv7l-linux'], [])).toEqual({});
  });

  test('include foreign ones whose format is out of sight, as in a container', () => {
    expect(emulatedSystems(['x86_64-linux', 'riscv64-linux'], [])).toEqual({ 'riscv64-linux': QEMU_FACTOR });
  });

  test('are translated by Rosetta on a Mac, and by it in a Linux guest', () => {
    expect(emulatedSystems(['aarch64-darwin', 'x86_64-darwin'], [])).toEqual({
      'x86_64-darwin': ROSETTA_FACTOR,
    });
    const formats = [{ cpus: ['x86_64'], rosetta: true }];
    expect(emulatedSystems(['aarch64-linux', 'x86_64-linux'], formats)).toEqual({
      'x86_64-linux': ROSETTA_FACTOR,
    });
  });
});
