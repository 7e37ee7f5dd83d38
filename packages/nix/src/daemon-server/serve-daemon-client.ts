import type { Duplex } from 'node:stream';
import type { ClientHandlers } from './handlers.ts';

export interface ServeDaemonClientInit {
  /** The client's side: a socket, or the stdin and stdout of a command. */
  readonly client: Duplex;
  /** Connects to the real daemon, with the rights this client is to have. */
  openDaemon(): Promise<Duplex>;
  readonly handlers: ClientHandlers;
}

/**
 * Stands between a client of Nix's worker protocol and the real daemon, until one of them ends the connection.
 * Resolves when both sides are closed; throws only what its caller should log.
 */
export type ServeDaemonClient = (init: ServeDaemonClientInit) => Promise<void>;
