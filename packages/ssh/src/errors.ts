/** Every way SSH refuses: the stable codes other packages and tests match on. */
export type SshErrorCode =
  | 'SSH_BAD_TARGET'
  | 'SSH_BAD_CONFIG'
  | 'SSH_UNREACHABLE'
  | 'SSH_HOST_KEY_UNKNOWN'
  | 'SSH_HOST_KEY_CHANGED'
  | 'SSH_HOST_KEY_REVOKED'
  | 'SSH_AUTH_FAILED'
  | 'SSH_PROTOCOL'
  | 'SSH_CLOSED'
  | 'SSH_REFUSED_COMMAND';

/** An error a user can meet: `message` is one sentence that says what happened and what to do. */
export class SshError extends Error {
  override readonly name = 'SshError';
  readonly code: SshErrorCode;

  constructor(code: SshErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}
