import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from './program.ts';

const run = (args: string[]) => runProgram(args, '0.1.0');

describe('wrong usage', () => {
  const before = process.cwd();
  let directory: string;
  // Where there is no flake: one in the current directory is what a command without arguments means.
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'mesh-program-'));
    process.chdir(directory);
  });
  afterAll(() => {
    process.chdir(before);
    rmSync(directory, { recursive: true });
  });

  it.each([
    ['an unknown command', ['frob'], "unknown command 'frob'"],
    ['an unknown option', ['peers', '--frob'], "unknown option '--frob'"],
    ['too many arguments', ['peers', 'x'], 'too many arguments'],
    ['a missing argument', ['remove'], "missing required argument 'peer'"],
    ['half of --arg', ['build', '-f', '.', '--arg', 'x'], '--arg needs a name and a value'],
    ['--arg without a file', ['build', '--arg', 'x', '1', '.'], 'add -f FILE'],
    ['nothing to build', ['build'], 'There is nothing to build'],
    ['nobody to prefer and not', ['build', '--prefer', 'a', '--not', 'a', '.'], 'a is in both'],
    ['a priority that is none', ['build', '--priority', 'urgent', '.'], 'write low, normal, high'],
    ['an unknown log format', ['build', '--log-format', 'xml', '.'], 'Allowed choices are'],
    ['a port that is none', ['agent', '--listen', '70000'], 'from 0 to 65535'],
    ['a number of slots that is none', ['agent', '--slots', 'many'], 'from 0 to 4096'],
    ['a time that is none', ['invite', '--ttl', '3 weeks'], 'like 90s, 10m'],
    ['a role that is none', ['invite', '--roles', 'king'], 'build, submit, admin'],
    ['an unknown thing to do with the cache', ['cache', 'frob'], "unknown command 'frob'"],
    ['a path that is none', ['cache', 'which', 'frob'], 'neither a store path nor a link'],
    ['nothing to warm', ['cache', 'warm'], 'There is nothing to build'],
    ['an attribute to warm without a file', ['cache', 'warm', '-A', 'x'], 'add -f FILE'],
    ['a report that is a directory', ['build', '--report', '/', '.'], 'this is a directory'],
  ])('%s is refused with exit code 2', async (_, args, sentence) => {
    await expect(run(args)).rejects.toThrow(
      expect.objectContaining({
        code: 'MESH_USAGE',
        exitCode: 2,
        message: expect.stringContaining(sentence),
      }),
    );
  });
});

describe('bad input', () => {
  const none = join('/nonexistent', 'none');

  it.each([
    ['a file to evaluate that is missing', ['build', '-f', `${none}.nix`], 'MESH_NO_SUCH_FILE'],
    ['a link to a derivation that is missing', ['build', `${none}.drv`], 'MESH_NO_SUCH_FILE'],
    ['a report that cannot be written', ['build', '--report', none, '.'], 'MESH_REPORT_UNWRITABLE'],
    ['a ticket file that is missing', ['join', none], 'ENOENT'],
  ])('%s is refused with exit code 1 before anything is asked', async (_, args, code) => {
    await expect(run(args)).rejects.toThrow(expect.objectContaining({ code }));
  });
});
