/** Everything that can go wrong with a lab, told apart by `code`. */
export type LabErrorCode =
  | 'LAB_UNAVAILABLE'
  | 'LAB_BAD_OPTIONS'
  | 'LAB_NAME_TAKEN'
  | 'LAB_UNKNOWN'
  | 'LAB_START_FAILED'
  | 'LAB_DOWN_FAILED'
  | 'LAB_HOST_UNKNOWN'
  | 'LAB_HOST_DOWN'
  | 'LAB_TIMEOUT'
  | 'LAB_COMMAND_FAILED'
  | 'LAB_NO_CPU_QUOTA'
  | 'LAB_NO_MEMORY_LIMIT'
  | 'LAB_NO_PROCESSOR_TIME';

export class LabError extends Error {
  static {
    LabError.prototype.name = 'LabError';
  }

  readonly code: LabErrorCode;

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A command in a host ended other than with 0; carries what it said. */
export class CommandFailed extends LabError {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    where: string,
    command: readonly string[],
    result: { code: number; stdout: string; stderr: string },
  ) {
    const said = (result.stderr.trim() || result.stdout.trim()).slice(-2000);
    super(
      'LAB_COMMAND_FAILED',
      `\`${command.join(' ')}\` on ${where} ended with ${result.code}${said === '' ? '.' : `:\n${said}`}`,
    );
    this.exitCode = result.code;
    this.stdout = result.stdout;
    this.stderr = result.stderr;
  }
}
