import { hostOf } from './addresses.ts';
import { LONG_STILL_MS } from './constants.ts';
import type { Dialer } from './dialer.ts';
import type { Gossip } from './gossip.ts';
import { type InterfaceAddress, isOnLink } from './interfaces.ts';
import type { Logger } from './logger.ts';
import type { MdnsDiscovery } from './mdns/discovery.ts';
import type { RecordPublisher } from './own-record.ts';
import type { Sessions } from './sessions.ts';
import type { SurroundingsChange } from './surroundings.ts';

/** Whom it concerns that this machine moved. */
export interface MovesComponents {
  sessions: Sessions;
  gossip: Gossip;
  dialer: Dialer;
  publisher: RecordPublisher;
  mdns: MdnsDiscovery | undefined;
  logger: Logger;
}

/** What an agent does when its machine woke, or is in another network: whatever was true of connections need not be any more. */
export class Moves {
  readonly #components: MovesComponents;

  constructor(components: MovesComponents) {
    this.#components = components;
  }

  /** @param own this machine's addresses after the change */
  took(change: SurroundingsChange, own: readonly InterfaceAddress[]): void {
    const { sessions, gossip, dialer, publisher, mdns, logger } = this.#components;
    const { addresses, sleptMs, stoodStillMs } = change;
    logger.info({ ...change }, 'This machine woke, or its network changed.');
    mdns?.update(own);
    // With no network left nothing can be done, and a cable that comes back soon finds connections as they were.
    if (addresses !== undefined && own.length === 0) return;
    for (const session of sessions.all()) {
      const host = hostOf(session.connection.remoteAddr.toString());
      if (host !== undefined && isOnLink(host, addresses?.gone ?? [])) sessions.end(session, 'closed');
    }
    if (addresses !== undefined) publisher.refresh();
    if (addresses !== undefined || sleptMs !== undefined) gossip.probe();
    else gossip.greetAll();
    const isAway = addresses !== undefined || sleptMs !== undefined || (stoodStillMs ?? 0) > LONG_STILL_MS;
    if (isAway) mdns?.refresh();
    dialer.urge();
  }
}
