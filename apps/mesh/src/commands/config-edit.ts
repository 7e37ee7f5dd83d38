import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { ConfigFile } from '@mesh/agent/config';
import { CliError, EXIT, reportError } from '../errors.ts';
import { safeLine } from '../render/text.ts';
import { type ConfigFlags, meantAgent, tellRunningAgent } from './config.ts';
import { printNote } from './io.ts';

/** What the editor begins with where there is no file. */
const EMPTY = '{\n  "configVersion": 1\n}\n';

/** `mesh config edit`: a copy in the user's editor, which takes the file's place once it is right. */
export async function configEdit(flags: ConfigFlags): Promise<void> {
  const { stateDir, socketDir } = meantAgent(flags);
  const file = new ConfigFile(stateDir);
  const before = currentText(file.path);
  const dir = mkdtempSync(join(tmpdir(), 'mesh-config-'));
  const copy = join(dir, 'config.json');
  try {
    writeFileSync(copy, before ?? EMPTY, { mode: 0o600 });
    for (;;) {
      runEditor(copy);
      const text = readFileSync(copy, 'utf8');
      if (text === (before ?? EMPTY)) {
        printNote('nothing was changed');
        return;
      }
      try {
        const { configVersion: _, ...config } = file.parse(text, stays);
        file.write(config);
        break;
      } catch (error) {
        if (!process.stdin.isTTY) throw error;
        printNote(reportError(error, false).text ?? '');
        if (!(await wantsAgain()))
          throw new CliError('MESH_CONFIG_KEPT', EXIT.failure, `${file.path} stays as it was.`);
      }
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  printNote(safeLine(`${file.path} is written`, false));
  await tellRunningAgent(socketDir);
}

/** What was edited is wrong, and the file is not. */
function stays(what: string): CliError {
  return new CliError(
    'MESH_CONFIG_WRONG',
    EXIT.usage,
    `The configuration stays as it was: what you wrote is wrong (${what}).`,
  );
}

function currentText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** `$VISUAL`, `$EDITOR` or vi, either with options of its own. */
function runEditor(path: string): void {
  const editor = process.env.VISUAL || process.env.EDITOR || 'vi';
  const { status, signal } = spawnSync('/bin/sh', ['-c', `${editor} "$1"`, 'sh', path], { stdio: 'inherit' });
  if (status === 0) return;
  throw new CliError(
    'MESH_EDITOR_FAILED',
    EXIT.failure,
    `The editor ${editor} ended with ${signal ?? `exit code ${status}`} and nothing was changed; set EDITOR to one that works.`,
  );
}

async function wantsAgain(): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return !/^n/i.test((await terminal.question('Edit again? [Y/n] ')).trim());
  } finally {
    terminal.close();
  }
}
