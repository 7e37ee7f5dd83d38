import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findNix, runLines, runText } from './nix-process.ts';

const FAILURE = { code: 'NIX_EVALUATION_FAILED', sentence: 'It did not work.' } as const;
const sh = (script: string, signal?: AbortSignal) =>
  runLines('/bin/sh', ['-c', script], signal === undefined ? {} : { signal }, FAILURE);

test('Nix is found on PATH, its programs beside each other', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'find-nix-'));
  try {
    await writeFile(join(directory, 'nix-instantiate'), '#!/bin/sh\n');
    await chmod(join(directory, 'nix-instantiate'), 0o755);
    expect(await findNix({ PATH: `/nonexistent:${directory}` })).toEqual({
      nix: join(directory, 'nix'),
      nixInstantiate: join(directory, 'nix-instantiate'),
      nixStore: join(directory, 'nix-store'),
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('lines come as they are printed, not at the end', async () => {
  const lines = sh('echo one; read -r never < /dev/zero; echo two');
  expect((await lines.next()).value).toBe('one');
  await lines.return();
});

test('a program that fails is told in one sentence, with its error and without its warnings', async () => {
  const script = `echo out; echo 'warning: careful' >&2; printf '\\033[31merror:\\033[0m bad\\n  at x.nix:1\\n' >&2; exit 1`;
  await expect(runText('/bin/sh', ['-c', script], {}, FAILURE)).rejects.toMatchObject({
    code: 'NIX_EVALUATION_FAILED',
    message: 'It did not work.',
    nixMessage: 'error: bad\n  at x.nix:1',
  });
});

test('a program that is not there is a missing Nix', async () => {
  await expect(runText('/nonexistent/nix', [], {}, FAILURE)).rejects.toMatchObject({ code: 'NIX_MISSING' });
});

test('a program is ended when its output is no longer wanted', async () => {
  const controller = new AbortController();
  const lines = sh('echo $$; exec sleep 1000', controller.signal);
  const pid = Number((await lines.next()).value);
  controller.abort(new Error('changed my mind'));
  await expect(lines.next()).rejects.toThrow('changed my mind');
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('a program that does not listen to a polite signal is killed', async () => {
  const controller = new AbortController();
  const lines = sh(`trap '' TERM; echo $$; exec sleep 1000`, controller.signal);
  const pid = Number((await lines.next()).value);
  controller.abort(new Error('changed my mind'));
  await expect(lines.next()).rejects.toThrow('changed my mind');
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('leaving the lines early ends the program too', async () => {
  const lines = sh('echo $$; exec sleep 1000');
  const pid = Number((await lines.next()).value);
  await lines.return();
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});
