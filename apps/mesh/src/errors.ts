/** How the command ended: what scripts may rely on. */
export const EXIT = {
  ok: 0,
  /** Anything that is neither of the others. */
  failure: 1,
  usage: 2,
  /** A build failed, as `nix build` and `nix-store -r` say it. */
  buildFailed: 100,
  /** 128 + SIGINT, as a shell would say it. */
  interrupted: 130,
} as const;

/** Something the user should read: one sentence with a stable code and the exit code it leads to. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: string;
  readonly exitCode: number;
  /** A build's own output has said it already; only the exit code remains to be told. */
  readonly silent: boolean;

  constructor(
    code: string,
    exitCode: number,
    message: string,
    options: { cause?: unknown; silent?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.exitCode = exitCode;
    this.silent = options.silent ?? false;
  }
}

/** The command was called wrongly. */
export function usageError(message: string): CliError {
  return new CliError('MESH_USAGE', EXIT.usage, message);
}

/** What the last resort in `main.ts` prints for an error, and how the process ends. */
export interface ErrorReport {
  /** Without a newline at the end; undefined where everything is said. */
  text: string | undefined;
  exitCode: number;
}

/** A typed error of any package of ours: a code in capitals. Node's own have a `syscall` as well. */
const TYPED =
  /^(NIX|MESH|AGENT|NET|TRANSFER|WIRE|BUILD|JOB|LOG|PEER|WORK|JOIN|INVITE|TICKET|MEMBER|CACHE|INSTALL|SSH)[A-Z]*_[A-Z0-9_]+$/;

/** Of parts that do not know of exit codes: a name, a key or an address that somebody wrote. */
const WRONG_USAGE = new Set(['NET_BAD_ADDRESS', 'SSH_BAD_CONFIG', 'SSH_BAD_TARGET']);

/**
 * Any thrown value as one message. Typed errors and the system's errors show their sentence; anything else is a fault of the
 * mesh itself and shows its stack, because that is what a bug report needs.
 */
export function reportError(error: unknown, verbose: boolean): ErrorReport {
  if (!(error instanceof Error))
    return { text: `mesh: internal error: ${String(error)}`, exitCode: EXIT.failure };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const otherwise = code !== undefined && WRONG_USAGE.has(code) ? EXIT.usage : EXIT.failure;
  const exitCode = 'exitCode' in error && typeof error.exitCode === 'number' ? error.exitCode : otherwise;
  if (error instanceof CliError && error.silent) return { text: undefined, exitCode };
  const expected =
    error instanceof CliError || 'syscall' in error || (code !== undefined && TYPED.test(code));
  if (!expected) return { text: `mesh: internal error: ${error.stack ?? error.message}`, exitCode };
  const nixMessage =
    'nixMessage' in error && typeof error.nixMessage === 'string' ? error.nixMessage.trim() : '';
  const tail = nixMessage === '' || error.message.includes(nixMessage) ? '' : `\n${nixMessage}`;
  const message = 'syscall' in error ? systemSentence(error) : error.message;
  return { text: `mesh: error: ${message}${verbose && code ? ` [${code}]` : ''}${tail}`, exitCode };
}

/** `ENOENT: no such file or directory, open '/x'` as `/x: no such file or directory.` */
function systemSentence(error: Error): string {
  const match = /^[A-Z0-9]+: (.+?), \w+ '(.*?)'/.exec(error.message);
  return match === null ? error.message : `${match[2]}: ${match[1]}.`;
}
