/** Every way this package refuses: the stable codes other packages and tests match on. */
export type NixErrorCode =
  | 'NIX_BAD_STORE_PATH'
  | 'NIX_BAD_BASE32'
  | 'NIX_BAD_HASH'
  | 'NIX_BAD_DERIVATION'
  | 'NIX_UNREADABLE_DERIVATION'
  | 'NIX_BAD_NARINFO'
  | 'NIX_BAD_KEY'
  | 'NIX_BAD_NAR'
  | 'NIX_CORRUPT_PATH'
  | 'NIX_DAEMON_UNREACHABLE'
  | 'NIX_DAEMON_TOO_OLD'
  | 'NIX_DAEMON_PROTOCOL'
  | 'NIX_DAEMON_CLOSED'
  | 'NIX_DAEMON_ERROR'
  | 'NIX_CLIENT_PROTOCOL'
  | 'NIX_CLIENT_REFUSED'
  | 'NIX_MISSING'
  | 'NIX_TOO_OLD'
  | 'NIX_EVALUATION_FAILED'
  | 'NIX_COMMAND_FAILED';

/**
 * An error a user can meet. `message` is one sentence: what happened and what to do.
 * `nixMessage` is Nix's own text where Nix gave one, without colours, possibly many lines.
 */
export class NixError extends Error {
  readonly code: NixErrorCode;
  readonly nixMessage: string | undefined;

  constructor(code: NixErrorCode, message: string, options: { cause?: unknown; nixMessage?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'NixError';
    this.code = code;
    this.nixMessage = options.nixMessage;
  }
}

/** Shortens and escapes foreign text so that it fits into a one-sentence message. */
export function quote(text: string, maxCharacters = 120): string {
  return JSON.stringify(text.length > maxCharacters ? `${text.slice(0, maxCharacters)}…` : text);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the control characters to be removed.
const ANSI = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** Removes terminal colours and other escape sequences: Nix puts them into its messages. */
export function stripAnsi(text: string): string {
  return text.replace(ANSI, '');
}
