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
export type { ServeDaemonClient, ServeDaemonClientInit } from './serve-daemon-client.ts';
