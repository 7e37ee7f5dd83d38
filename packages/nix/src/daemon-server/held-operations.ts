import { Operation } from '../daemon/constants.ts';
import type { ServeDaemonClientInit } from './serve-daemon-client.ts';

/** Whether requests for an operation are read whole, rather than only walked over. */
export function isHeldOperation(operation: number, init: ServeDaemonClientInit): boolean {
  const { handlers, storeDirectory } = init;
  switch (operation) {
    case Operation.SetOptions:
    case Operation.QueryPathInfo:
      return true;
    case Operation.BuildPaths:
    case Operation.BuildPathsWithResults:
      return handlers.buildPaths !== undefined;
    case Operation.BuildDerivation:
      return handlers.buildDerivation !== undefined;
    case Operation.NarFromPath:
      return handlers.narFromPath !== undefined || storeDirectory !== undefined;
    default:
      return false;
  }
}
