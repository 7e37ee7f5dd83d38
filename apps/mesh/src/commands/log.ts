import { spawn } from 'node:child_process';
import { ask, type ControlPort } from '../control/port.ts';
import { CliError, EXIT } from '../errors.ts';
import { type CommonFlags, runningAgent } from './io.ts';

/** The agent's answers after which Nix's own logs are worth a look: it hands the logs of finished jobs to Nix. */
const ASK_NIX = new Set(['MESH_NO_AGENT', 'LOG_UNKNOWN']);

/**
 * `mesh log DRV|NAME [-f]`: the log of a build, from the agent that is its home, else from Nix. Written as it is: it is a
 * file's content, not a message of ours.
 */
export async function log(target: string, flags: CommonFlags & { follow?: boolean }): Promise<void> {
  const agent = runningAgent(flags);
  try {
    await ask(
      agent,
      { method: 'log', target, follow: flags.follow ?? false },
      {
        emit(response) {
          if (response.type === 'log') process.stdout.write(response.text);
        },
      },
    );
  } catch (error) {
    if (!(error instanceof CliError) || !ASK_NIX.has(error.code)) throw error;
    const path = target.startsWith('/')
      ? target
      : error.code === 'LOG_UNKNOWN'
        ? await findByName(agent, target)
        : undefined;
    if (path === undefined) throw error;
    await nixLog(path);
  }
}

/** The derivation of this name in the newest job that had one. */
async function findByName(agent: ControlPort, name: string): Promise<string | undefined> {
  const { jobs } = await ask(agent, { method: 'jobs' });
  const newestFirst = jobs.toSorted((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  for (const { job } of newestFirst) {
    const { derivations } = await ask(agent, { method: 'report', job });
    const found = derivations.find((derivation) => derivation.name === name);
    if (found !== undefined) return found.drvPath;
  }
  return undefined;
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
