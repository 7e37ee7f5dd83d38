export type {
  BuildDerivationRequest,
  BuildPathsRequest,
  ClientBuildMode,
  ClientBuildResult,
  ClientHandlers,
  ClientSettings,
  ClientTalk,
  TalkField,
} from './handlers.ts';
export { databaseStamp, PathInfoCache, type PathInfoCacheInit } from './path-info-cache.ts';
export {
  type ServeDaemonClient,
  type ServeDaemonClientInit,
  serveDaemonClient,
} from './serve-daemon-client.ts';
