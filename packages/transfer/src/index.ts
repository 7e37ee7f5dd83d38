/** Store paths between machines: serving, finding, fetching, the loopback gateway, `nix copy`. */
export { isTransferError, TransferError, type TransferErrorCode } from './errors.ts';
export type { FetchProgress } from './fetch-progress.ts';
export type { BadPeer, FetchOptions, FetchResult, TransferEvents } from './fetcher.ts';
export type { WantedPath } from './holders.ts';
export type { MemberPath, MemberPaths } from './member-paths.ts';
export { signingKeyName } from './path-info-verification.ts';
export type { BinaryCacheState } from './substituter/binary-cache.ts';
export { Turns } from './substituter/turns.ts';
export {
  createTransfer,
  type Transfer,
  type TransferComponents,
  type TransferCounters,
  type TransferInit,
} from './transfer.ts';
export type { WantedInput } from './upstream/input-sources.ts';
