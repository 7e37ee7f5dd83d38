/** What can go wrong between machines. */
export type NetErrorCode =
  | 'NET_IDENTITY_UNREADABLE'
  | 'NET_STATE_UNREADABLE'
  | 'NET_LISTEN_FAILED'
  | 'NET_NOT_CONNECTED'
  | 'NET_NOT_A_MEMBER'
  | 'NET_NOT_ADMIN'
  | 'NET_CLOSED'
  | 'NET_SLOW_PEER'
  | 'NET_REMOTE'
  | 'NET_BAD_RECORD'
  | 'NET_BAD_PEER_ID'
  | 'NET_BAD_ADDRESS'
  | 'NET_UNKNOWN_MEMBER'
  | 'NET_TICKET_GARBLED'
  | 'NET_TICKET_EXPIRED'
  | 'NET_JOIN_REFUSED'
  | 'NET_JOIN_UNREACHABLE'
  | 'NET_JOIN_HAS_MEMBERS';

/** A failure the user or the caller can act on. The message is one sentence: what happened and what to do. */
export class NetError extends Error {
  readonly code: NetErrorCode;

  constructor(code: NetErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'NetError';
    this.code = code;
  }
}

/** The other side of a channel gave it up and said why. */
export class RemoteError extends NetError {
  /** The code the peer sent: of its own error, or of the fault it found in what we sent. */
  readonly remoteCode: string;

  constructor(remoteCode: string, message: string) {
    super('NET_REMOTE', message);
    this.name = 'RemoteError';
    this.remoteCode = remoteCode;
  }
}

/** The stable code of an error of any package, if it has one. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const DIAL_FAULTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'no agent listens there',
  EHOSTUNREACH: 'no machine answers there',
  ENETUNREACH: 'there is no route to it',
  ENOTFOUND: 'its name has no address',
  EAI_AGAIN: 'its name has no address',
  ECONNRESET: 'it hung up',
  ETIMEDOUT: 'no answer',
};

/** What the failure of dialling one address means, in a few words. */
export function dialFault(error: unknown): string {
  if (!(error instanceof Error)) return error === undefined ? 'not tried any more' : String(error);
  const text = `${codeOf(error) ?? ''} ${error.name} ${error.message}`;
  const known = Object.keys(DIAL_FAULTS).find((code) => text.includes(code));
  if (known !== undefined) return DIAL_FAULTS[known]!;
  return /timeout|abort/i.test(text) ? 'no answer' : error.message;
}
