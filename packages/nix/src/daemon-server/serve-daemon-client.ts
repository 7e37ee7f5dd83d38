import type { Duplex } from 'node:stream';
import type { ClientHandlers } from './handlers.ts';
import type { PathInfoCache } from './path-info-cache.ts';
import { ServedConnection } from './served-connection.ts';

export interface ServeDaemonClientInit {
  /** The client's side: a socket, or the stdin and stdout of a command. */
  readonly client: Duplex;
  /** Connects to the real daemon, with the rights this client is to have. */
  openDaemon(): Promise<Duplex>;
  readonly handlers: ClientHandlers;
  /**
   * Where this process sees the files of the real daemon's store (`/nix/store`). Where given, large NARs of paths that the real
   * daemon calls valid are made from them, which is faster than having them through its socket.
   */
  readonly storeDirectory?: string;
  /** The real daemon's answers to all clients about paths, where what it is the daemon of is known. */
  readonly pathInfos?: PathInfoCache;
  /**
   * For clients with less than the rights of the daemon connection, and where nothing may pass unread: a sentence about an operation (by Nix's number) that is not for
   * them, which ends the connection. What cannot be followed is refused then, and settings by name are left out.
   */
  readonly refusal?: (operation: number) => string | undefined;
  /** Told where the handlers are not asked (any more), because what is spoken is not known here; everything passes then. */
  onPassedThrough?(reason: string): void;
}

/**
 * Stands between a client of Nix's worker protocol and the real daemon, until one of them ends the connection.
 * Resolves when both sides are closed; throws only what its caller should log.
 */
export type ServeDaemonClient = (init: ServeDaemonClientInit) => Promise<void>;

/**
 * Version, features, trust and every answer are the real daemon's own; of the client's requests those for builds (and for path
 * infos and NARs, where a handler for them is given) are read, all others only as far as to find their ends.
 */
export const serveDaemonClient: ServeDaemonClient = async (init) => {
  // Held until the daemon is there, and its end is noticed by what is written to it.
  init.client.pause();
  let gone = false;
  const onError = (): void => {
    gone = true;
  };
  init.client.on('error', onError);
  let daemon: Duplex;
  try {
    daemon = await init.openDaemon();
  } catch (error) {
    init.client.destroy();
    throw error;
  }
  init.client.off('error', onError);
  if (gone || init.client.destroyed) {
    daemon.destroy();
    return;
  }
  await new ServedConnection(init, daemon).run();
};
