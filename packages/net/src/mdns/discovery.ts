import { randomBytes } from 'node:crypto';
import { type InterfaceFilter, lanAddresses } from '../addresses.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { MdnsLink } from './link.ts';
import type { Announcement } from './packet.ts';

/** Cables are plugged and networks joined; nobody minds five seconds, and looking costs a tenth of a millisecond. */
const RESCAN_INTERVAL_MS = 5_000;

/** What discovery needs. */
export interface MdnsDiscoveryInit {
  peerId: string;
  interfaces: InterfaceFilter;
  clock: Clock;
  logger: Logger;
  random: () => number;
  /** What to say of ourselves, now. */
  announcement: () => Omit<Announcement, 'peerId'>;
  /** Somebody announced itself. Nothing of it is proven. */
  onPeer: (peer: Announcement) => void;
}

/**
 * Finds peers by multicast DNS on every interface of the LAN, however many there are and whether or not one has a default route;
 * speaks libp2p's mDNS records, and falls silent step by step while nothing changes.
 */
export class MdnsDiscovery {
  readonly #init: MdnsDiscoveryInit;
  /** Not the peer id: an instance name should say nothing and be new with every start (libp2p mDNS specification). */
  readonly #instance = randomBytes(16).toString('hex');
  readonly #links = new Map<string, MdnsLink>();
  readonly #failed = new Set<string>();
  #timer: Timer | undefined;
  #running = false;

  constructor(init: MdnsDiscoveryInit) {
    this.#init = init;
  }

  start(): void {
    this.#running = true;
    this.#rescan();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#timer?.cancel();
    const links = [...this.#links.values()];
    this.#links.clear();
    await Promise.all(links.map((link) => link.close()));
  }

  /** What we announce changed: say so. */
  refresh(): void {
    for (const link of this.#links.values()) link.refresh();
  }

  #rescan(): void {
    if (!this.#running) return;
    const present = new Map(
      lanAddresses(this.#init.interfaces).map((at) => [`${at.name} ${at.address}`, at]),
    );
    for (const [key, link] of this.#links) {
      if (present.has(key)) continue;
      this.#links.delete(key);
      void link.close();
    }
    for (const [key, at] of present) {
      if (this.#links.has(key)) continue;
      const { peerId, announcement, clock, random, onPeer, logger } = this.#init;
      const link = new MdnsLink({
        at,
        instance: this.#instance,
        clock,
        random,
        announcement: () => ({ peerId, ...announcement() }),
        onPeer,
        onFailure: (error) => {
          if (!this.#failed.has(key)) {
            logger.warn(
              { interface: at.name, error },
              'Discovery does not work on an interface; it is tried again.',
            );
          }
          this.#failed.add(key);
          if (this.#links.get(key) === link) this.#links.delete(key);
          void link.close();
        },
      });
      this.#links.set(key, link);
    }
    this.#timer = this.#init.clock.after(RESCAN_INTERVAL_MS, () => this.#rescan());
  }
}
