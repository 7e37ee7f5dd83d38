import { spawn } from 'node:child_process';
import { ask } from '../control/port.ts';
import { CliError, EXIT } from '../errors.ts';
import { type CommonFlags, runningAgent } from './io.ts';

/** The agent's answers after which Nix's own logs are worth a look. */
const ASK_NIX = new Set(['MESH_NO_AGENT', 'LOG_UNKNOWN']);

/**
 * `mesh log DRV|NAME [-f]`: the log of a build, from the agent that was its home, else from Nix. Written as it is: it is a
 * file's content, not a message of ours.
 */
export async function log(target: string, flags: CommonFlags & { follow?: boolean }): Promise<void> {
  try {
    await ask(
      runningAgent(flags),
      { method: 'log', target, follow: flags.follow ?? false },
      {
        emit(response) {
          if (response.type === 'log') process.stdout.write(response.text);
        },
      },
    );
  } catch (error) {
    if (!(error instanceof CliError) || !ASK_NIX.has(error.code) || !target.startsWith('/')) throw error;
    await nixLog(target);
  }
}

async function nixLog(path: string): Promise<void> {
  const { findNix } = await import('@mesh/nix');
  const { nixStore } = await findNix();
  const child = spawn(nixStore, ['--read-log', path], { stdio: ['ignore', 'inherit', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (exitCode === 0) return;
  throw new CliError(
    'MESH_NO_LOG',
    EXIT.failure,
    `Neither the mesh nor Nix has a log of ${path}; only a derivation that was built here or by a job of this machine has one.${stderr ? `\n${stderr.trim()}` : ''}`,
  );
}
