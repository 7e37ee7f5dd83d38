export {
  type BuildResult,
  type BuildStatus,
  isSuccess,
  type Missing,
  type SubstitutableInfo,
} from './answers.ts';
export { DaemonCall } from './call.ts';
export { type AddedItem, type ConnectOptions, DaemonClient, type KeyedBuildResult } from './client.ts';
export type { Trust } from './connection.ts';
export { DEFAULT_SOCKET_PATH, Operation } from './constants.ts';
export type { Activity, ActivityResult, DaemonEvent, Field } from './events.ts';
export type { Chunks } from './framed.ts';
export { DaemonPool, type PoolOptions } from './pool.ts';
export type { AddedPath, AddOptions, BuildMode, DaemonOptions, DerivedPath } from './requests.ts';
