/** The agent's stand-in for nix-daemon's socket, and the parts of it that `mesh run` serves itself. */
export { type BuildHandlersComponents, buildHandlers } from './build-handlers.ts';
export type { BuildPort } from './build-port.ts';
export { retryWhileFull } from './connect-daemon.ts';
export { NIX_SOCKET } from './constants.ts';
