import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

interface Ended {
  exitCode: number;
  stdout: string;
  stderr: string;
}

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mesh-main-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

/** The command as its own process, in an empty directory, on a machine without an agent. */
function mesh(args: string[], stdin = ''): Promise<Ended> {
  const env = { PATH: process.env.PATH, HOME: dir, MESH_STATE_DIR: join(dir, 'state') };
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--conditions=@mesh/source', MAIN, ...args],
      { env, cwd: dir },
      (error, stdout, stderr) => {
        resolve({ exitCode: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      },
    );
    child.stdin?.end(stdin);
  });
}

describe('the command line', () => {
  it('prints its version and its help on stdout', async () => {
    await expect(mesh(['--version'])).resolves.toMatchObject({ exitCode: 0, stdout: '0.1.0\n', stderr: '' });
    const help = await mesh(['build', '--help']);
    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    expect(help.stdout).toContain('--print-out-paths');
  });

  it('prints its help on stderr when it is called without a command', async () => {
    const { exitCode, stdout, stderr } = await mesh([]);
    expect([exitCode, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: mesh');
  });

  it('refuses wrong usage with exit code 2 and one sentence on stderr', async () => {
    await expect(mesh(['peers', '--frob'])).resolves.toEqual({
      exitCode: 2,
      stdout: '',
      stderr: "mesh: error: unknown option '--frob'; see `mesh --help`.\n",
    });
  });

  it('refuses a ticket among the arguments without repeating it', async () => {
    const ticket = `mesh1${'a1b2c3d4'.repeat(20)}`;
    const { exitCode, stderr } = await mesh(['join', ticket]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('A ticket is a secret');
    expect(stderr).not.toContain('a1b2c3d4');
  });

  it('reads a ticket from stdin or a file', async () => {
    const file = join(dir, 'ticket');
    await writeFile(file, 'no ticket at all\n');
    for (const ended of await Promise.all([mesh(['join'], 'nonsense\n'), mesh(['join', file])])) {
      expect(ended).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('That is not a ticket') });
    }
  });

  it('says that no agent runs, with the code for -v', async () => {
    const { exitCode, stdout, stderr } = await mesh(['peers', '--json', '-v']);
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(stderr).toBe(
      'mesh: error: No mesh agent is running on this machine; start one with `mesh agent`. [MESH_NO_AGENT]\n',
    );
  });
});
