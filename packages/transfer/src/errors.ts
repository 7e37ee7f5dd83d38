/** Every way this package refuses: the stable codes other packages and tests match on. */
export type TransferErrorCode =
  | 'TRANSFER_BAD_SIGNATURE'
  | 'TRANSFER_BAD_HASH'
  | 'TRANSFER_BAD_PATH_INFO'
  | 'TRANSFER_NO_SOURCE'
  | 'TRANSFER_PEER_LOST'
  | 'TRANSFER_PEER_REFUSED'
  | 'TRANSFER_SIDE_CHANNEL'
  | 'TRANSFER_IMPORT_FAILED'
  | 'TRANSFER_STOPPED';

/** Who and what an error is about, where it is about a peer. */
export interface TransferErrorDetails {
  readonly peerId?: string;
  readonly path?: string;
  /** All the paths concerned, where there are several. */
  readonly paths?: readonly string[];
  readonly cause?: unknown;
}

/** An error a user can meet; `message` is one sentence: what happened and what to do. */
export class TransferError extends Error {
  readonly code: TransferErrorCode;
  readonly peerId: string | undefined;
  readonly path: string | undefined;
  readonly paths: readonly string[];

  constructor(code: TransferErrorCode, message: string, details: TransferErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'TransferError';
    this.code = code;
    this.peerId = details.peerId;
    this.path = details.path;
    this.paths = details.paths ?? (details.path === undefined ? [] : [details.path]);
  }
}

/** Whether it is this package's error. */
export function isTransferError(error: unknown): error is TransferError {
  return error instanceof TransferError;
}

/** Whether the fault lies with the peer named in the error, so that another holder may do better. */
export function isPeerFault(error: unknown): error is TransferError & { peerId: string } {
  return error instanceof TransferError && error.peerId !== undefined;
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
