import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { EXEC_TIMEOUT_MS, HOST_PATH, LAB_VARIABLE, MAX_OUTPUT_BYTES } from './constants.ts';
import { CommandFailed, LabError } from './errors.ts';
import { LineStream } from './line-stream.ts';
import { childrenOf } from './processes.ts';
import { until } from './wait.ts';

/** Where a command runs: a booted host. */
export interface Place {
  readonly lab: string;
  readonly name: string;
  /** Host's init, as the machine numbers it. */
  readonly init: number;
  /** The `cgroup.procs` to enter first, where the host's processor time or memory is limited. */
  readonly cgroupProcs: readonly string[];
}

export interface CommandOptions {
  /** Added to HOME, PATH and LANG; the machine's own environment is not passed on. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard input; empty by default. */
  readonly input?: string | Uint8Array;
  /** Name of a user of the host's; root by default. */
  readonly user?: string;
}

export interface ExecOptions extends CommandOptions {
  readonly timeoutMs?: number;
  /** Whether an exit code other than 0 throws (default) or is returned. */
  readonly check?: boolean;
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code; 128 + number for a signal, as in a shell. */
  readonly code: number;
}

/** What to start on the machine for a command to run inside a host. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment: the machine's own is not passed on. */
  readonly env: Readonly<Record<string, string>>;
}

/*
 * The parent of a command stands outside the host's PID namespace, in which only its children are born. A shell, and not
 * nsenter itself, because nsenter stops when its child is stopped and then keeps the whole host from ending.
 */
const WAIT = '"$@"; exit "$?"';
const WAIT_AS_USER = 'setpriv --reuid "$0" --regid "$(id -g "$0")" --init-groups -- "$@"; exit "$?"';

const ENTER_GROUPS = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit; shift; done; shift; exec nsenter "$@"';

export function commandLine(
  place: Place,
  command: readonly string[],
  { cwd, user, env }: CommandOptions,
): CommandLine {
  const enter = ['-t', String(place.init), '-m', '-u', '-i', '-n', '-p', '--no-fork', '--'];
  // `env` also where there is no folder: a `kill` of the shell's own would look for its target outside the host.
  const folder = ['env', ...(cwd === undefined ? [] : ['-C', cwd]), '--'];
  const waiter = user === undefined ? ['sh', '-c', WAIT, 'sh'] : ['sh', '-c', WAIT_AS_USER, user];
  const args = [...enter, ...waiter, ...folder, ...command];
  const home = user === undefined ? '/root' : '/tmp';
  const full = { HOME: home, PATH: HOST_PATH, LANG: 'C.UTF-8', [LAB_VARIABLE]: place.lab, ...env };
  if (place.cgroupProcs.length === 0) return { program: 'nsenter', args, env: full };
  const limited = ['-c', ENTER_GROUPS, 'sh', ...place.cgroupProcs, '--', ...args];
  return { program: 'sh', args: limited, env: full };
}

function start(place: Place, command: readonly string[], options: CommandOptions): ChildProcess {
  const { program, args, env } = commandLine(place, command, options);
  const child = spawn(program, args, {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    // A session of its own: Ctrl-C at our terminal ends us, and through us the lab, not single commands in it.
    detached: true,
  });
  // A command may end without reading its input; that is its own affair.
  child.stdin?.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') throw error;
  });
  return child;
}

/**
 * Runs a command in a host to its end.
 * @throws {CommandFailed} it ended with another code than 0, unless `check` is false.
 * @throws {LabError} `LAB_TIMEOUT`; the command and what it started in its session are killed then.
 */
export async function exec(
  place: Place,
  command: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const child = start(place, command, options);
  const stdout = collect(child.stdout!);
  const stderr = collect(child.stderr!);
  child.stdin!.end(options.input ?? '');
  const timeoutMs = options.timeoutMs ?? EXEC_TIMEOUT_MS;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    killSession(child);
  }, timeoutMs);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    const result = { stdout: stdout(), stderr: stderr(), code: exitCode(code, signal) };
    if (late) {
      const said = result.stderr.slice(-1000);
      const line = `\`${command.join(' ')}\` on ${place.name} took longer than ${timeoutMs} ms and was killed. ${said}`;
      throw new LabError('LAB_TIMEOUT', line.trim());
    }
    if (result.code !== 0 && options.check !== false) throw new CommandFailed(place.name, command, result);
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** A command that runs on in a host. It ends with the host. */
export class HostProcess {
  /** Lines, from the first one on, for any number of readers at any time. */
  readonly stdout: LineStream;
  readonly stderr: LineStream;
  /** Settles when the process has ended and its output is read. Never rejects. */
  readonly exited: Promise<{ readonly code: number }>;
  readonly command: readonly string[];
  readonly #child: ChildProcess;
  readonly #place: Place;
  #ended = false;

  constructor(place: Place, command: readonly string[], options: CommandOptions = {}) {
    this.command = command;
    this.#place = place;
    this.#child = start(place, command, options);
    this.stdout = new LineStream(this.#child.stdout!);
    this.stderr = new LineStream(this.#child.stderr!);
    this.#child.stdin!.end(options.input ?? '');
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#ended = true;
        resolve({ code: exitCode(code, signal) });
      });
    });
  }

  get running(): boolean {
    return !this.#ended;
  }

  /** Its number on the machine, not inside the host. Undefined before it has started and after it has ended. */
  get pid(): number | undefined {
    return this.#ended ? undefined : childrenOf(this.#child.pid!)[0];
  }

  /** Sends a signal to the process (not to what it has started). Does nothing when it has ended. */
  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    // The process we started is the shell that waits; its child is the command.
    const pid = await until(`the start of ${this.command[0]} on ${this.#place.name}`, EXEC_TIMEOUT_MS, () =>
      this.#ended ? 0 : this.pid,
    );
    if (pid !== 0) sendSignal(pid, signal);
  }
}

function killSession(child: ChildProcess): void {
  if (child.pid !== undefined) sendSignal(-child.pid, 'SIGKILL');
}

/** Signals a process, or with a negative number its group; one that has ended meanwhile is no error. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

function exitCode(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0);
}
