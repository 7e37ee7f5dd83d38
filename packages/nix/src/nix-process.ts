import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { NixError, type NixErrorCode, stripAnsi } from './errors.ts';

/** Where Nix's programs are. */
export interface NixPrograms {
  readonly nix: string;
  readonly nixInstantiate: string;
  readonly nixStore: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Looked into after PATH: services and SSH logins often have a short one. */
const USUAL_PLACES = [
  '/nix/var/nix/profiles/default/bin',
  '/run/current-system/sw/bin',
  '/usr/bin',
  '/usr/local/bin',
];

/**
 * Finds Nix on PATH or where installers put it.
 * @throws NixError NIX_MISSING
 */
export async function findNix(env: Environment = process.env): Promise<NixPrograms> {
  const directories = [...(env.PATH ?? '').split(delimiter).filter(Boolean), ...USUAL_PLACES];
  for (const directory of directories) {
    if (await isExecutable(join(directory, 'nix-instantiate'))) {
      return {
        nix: join(directory, 'nix'),
        nixInstantiate: join(directory, 'nix-instantiate'),
        nixStore: join(directory, 'nix-store'),
      };
    }
  }
  throw new NixError(
    'NIX_MISSING',
    'Nix is not installed: install it (https://nixos.org/download, or apt install nix-bin on Debian) or put it on PATH.',
  );
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Environment;
  /** Ends the program; the call then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** An evaluator busy in one long computation does not hear SIGTERM; what does has cleaned up by then. */
const KILL_AFTER_MS = 500;

/** Lines longer than any path or JSON Nix prints on one line would only fill memory. */
const MAX_STDERR_CHARACTERS = 1024 * 1024;

/**
 * Runs a program of Nix and gives its output line by line, as it comes.
 * @param failure code and sentence for a program that does not succeed; Nix's own words go to `nixMessage`
 * @throws NixError NIX_MISSING, or `failure`
 */
export async function* runLines(
  program: string,
  args: readonly string[],
  options: RunOptions,
  failure: { readonly code: NixErrorCode; readonly sentence: string },
): AsyncGenerator<string, void, undefined> {
  options.signal?.throwIfAborted();
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(program, args, {
    cwd: options.cwd,
    env: { ...(options.env ?? process.env) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let killing: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill('SIGTERM');
    killing ??= setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  };
  options.signal?.addEventListener('abort', stop, { once: true });
  const stderr = collect(child.stderr);
  const ended = new Promise<Error | number | null>((resolve) => {
    child.once('error', resolve).once('close', resolve);
  });
  let finished = false;
  try {
    for await (const line of createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
      yield line;
    }
    const result = await ended;
    finished = true;
    options.signal?.throwIfAborted();
    if (result instanceof Error) throw notRunnable(program, result);
    if (result !== 0) throw failed(await stderr, failure);
  } finally {
    options.signal?.removeEventListener('abort', stop);
    if (!finished) {
      stop();
      await ended;
    }
    clearTimeout(killing);
  }
}

/** As {@link runLines}, all of the output at once. */
export async function runText(...run: Parameters<typeof runLines>): Promise<string> {
  const lines: string[] = [];
  for await (const line of runLines(...run)) lines.push(line);
  return lines.join('\n');
}

/** Nix prints its warnings and the one error last; the error is what the user must see. */
function failed(stderr: string, failure: { code: NixErrorCode; sentence: string }): NixError {
  const text = stripAnsi(stderr).trim();
  const at = text.search(/^error:/m);
  const nixMessage = at === -1 ? text : text.slice(at);
  return new NixError(failure.code, failure.sentence, { nixMessage });
}

async function collect(stream: Readable): Promise<string> {
  let text = '';
  for await (const part of stream.setEncoding('utf8')) {
    text = (text + String(part)).slice(-MAX_STDERR_CHARACTERS);
  }
  return text;
}

function notRunnable(program: string, cause: Error): NixError {
  return new NixError(
    'NIX_MISSING',
    `${program} cannot be run (${cause.message}): check the installation of Nix.`,
    {
      cause,
    },
  );
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    // Not there, or not for us: the next directory may have it.
    return false;
  }
}
