/** Why an installation was not begun or did not end. */
export type InstallErrorCode =
  | 'INSTALL_BAD_BUNDLE'
  | 'INSTALL_BROKEN_TREE'
  | 'INSTALL_FAILED'
  | 'INSTALL_NO_NODE'
  | 'INSTALL_NOT_SEEN'
  | 'INSTALL_PROBE_FAILED'
  | 'INSTALL_REFUSED';

/** One sentence: what happened and what to do. */
export class InstallError extends Error {
  override readonly name = 'InstallError';
  readonly code: InstallErrorCode;

  constructor(code: InstallErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }
}
