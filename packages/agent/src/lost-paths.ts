import { isTransferError } from '@mesh/transfer';

/** Paths that neither a member nor a substituter could give, if that is what this error says. */
export function lostPaths(error: unknown): string[] {
  return isTransferError(error) && error.code === 'TRANSFER_NO_SOURCE' ? [...error.paths] : [];
}
