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
export {
  type ServeDaemonClient,
  type ServeDaemonClientInit,
  serveDaemonClient,
} from './serve-daemon-client.ts';
