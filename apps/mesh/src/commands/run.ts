import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { CliError, EXIT, usageError } from '../errors.ts';
import { type CommonFlags, ownUid } from './io.ts';

/** What Nix takes for the daemon of this machine. */
const DAEMON_NAMES: readonly string[] = ['', 'auto', 'daemon'];

/** `mesh run -- COMMAND`: whatever the command builds with Nix is built on the mesh. Ends as the command does. */
export async function run(command: readonly string[], flags: CommonFlags): Promise<void> {
  const [program, ...args] = command;
  if (program === undefined) throw usageError('give a command: `mesh run -- nix build`.');
  const { NIX_REMOTE: remote = '' } = process.env;
  const { findNixSocket, isNixSocket } = await import('../nix-socket/find.ts');
  if (!DAEMON_NAMES.includes(remote) && !isNixSocket(remote)) {
    throw new CliError(
      'MESH_OTHER_STORE',
      EXIT.failure,
      `NIX_REMOTE is ${remote}, another store than this machine's; unset it to build on the mesh.`,
    );
  }
  const found = await findNixSocket({ uid: ownUid(), env: process.env, stateDir: flags.stateDir });
  if (found !== undefined) {
    endAs(await runWith(found, program, args));
    return;
  }
  const { servePrivately } = await import('../nix-socket/private-socket.ts');
  const own = await servePrivately(flags);
  try {
    endAs(await runWith(own.path, program, args));
  } finally {
    await own.close();
  }
}

/** The command has said itself what there was to say. */
function endAs(exitCode: number): void {
  if (exitCode !== EXIT.ok)
    throw new CliError('MESH_COMMAND_FAILED', exitCode, 'the command failed', { silent: true });
}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

/** The exit code as a shell would say it. */
function runWith(socket: string, program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    // A terminal sends Ctrl-C to the command too: what it does then is its own affair.
    const forward = (signal: NodeJS.Signals): void => {
      const isFromTerminal = process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT');
      if (!isFromTerminal) child.kill(signal);
    };
    // Before it starts: a signal that ended this process alone would leave the command behind.
    for (const signal of FORWARDED) process.on(signal, forward);
    const child = spawn(program, args, {
      stdio: 'inherit',
      env: { ...process.env, NIX_REMOTE: `unix://${socket}` },
    });
    const over = (): void => {
      for (const signal of FORWARDED) process.off(signal, forward);
    };
    child.once('error', (cause) => {
      over();
      reject(notStarted(program, cause));
    });
    child.once('exit', (code, signal) => {
      over();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/** 127 and 126 as of a shell. */
function notStarted(program: string, cause: NodeJS.ErrnoException): CliError {
  const isMissing = cause.code === 'ENOENT';
  const reason = isMissing ? 'there is no such command' : `it cannot be run (${cause.code})`;
  return new CliError('MESH_NO_COMMAND', isMissing ? 127 : 126, `${program}: ${reason}.`, { cause });
}
