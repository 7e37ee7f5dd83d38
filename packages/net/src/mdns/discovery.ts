import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { InterfaceAddress } from '../interfaces.ts';
import type { Logger } from '../logger.ts';
import { MdnsLink } from './link.ts';
import type { Announcement } from './packet.ts';

/** What discovery needs. */
export interface MdnsDiscoveryInit {
  peerId: string;
  clock: Clock;
  logger: Logger;
  random: () => number;
  /** What to say of ourselves, now, in a network that has these addresses of ours. */
  announcement: (network: readonly InterfaceAddress[]) => Omit<Announcement, 'peerId'>;
  /** Somebody announced itself. Nothing of it is proven. */
  onPeer: (peer: Announcement) => void;
  /** Somebody said that it leaves. Nothing of it is proven. */
  onGoodbye: (peerId: string) => void;
}

/**
 * Finds peers by multicast DNS on every interface of the LAN, however many there are and whether or not one has a default route;
 * speaks libp2p's mDNS records over IPv4 and IPv6, and falls silent step by step while nothing changes.
 */
export class MdnsDiscovery {
  readonly #init: MdnsDiscoveryInit;
  /** Not the peer id: an instance name should say nothing and be new with every start (libp2p mDNS specification). */
  readonly #instance = randomBytes(16).toString('hex');
  readonly #links = new Map<string, MdnsLink>();
  readonly #failed = new Set<string>();

  constructor(init: MdnsDiscoveryInit) {
    this.#init = init;
  }

  async stop(): Promise<void> {
    const links = [...this.#links.values()];
    this.#links.clear();
    await Promise.all(links.map((link) => link.close({ goodbye: true })));
  }

  /** What we announce changed, or who hears it may have: say so, and ask. */
  refresh(): void {
    for (const link of this.#links.values()) link.refresh();
  }

  /**
   * Speaks where this machine's addresses are, and nowhere else: one link for each IPv4 address, as these are what multicast over
   * IPv4 goes by, and one for each interface that has IPv6.
   */
  update(addresses: readonly InterfaceAddress[]): void {
    const wanted = new Map<string, { at: InterfaceAddress; network: InterfaceAddress[] }>();
    for (const at of addresses.filter(({ multicast }) => multicast)) {
      const network = addresses.filter(({ name }) => name === at.name);
      // A link whose network changed is another one.
      const subnets = network.map(({ address, prefix }) => `${address}/${prefix}`).join();
      const key =
        at.family === 4 ? `${at.address} of ${at.name} ${subnets}` : `IPv6 of ${at.name} ${subnets}`;
      if (!wanted.has(key)) wanted.set(key, { at, network });
    }
    for (const [key, link] of this.#links) {
      if (wanted.has(key)) continue;
      this.#links.delete(key);
      void link.close();
    }
    for (const [key, where] of wanted) if (!this.#links.has(key)) this.#open(key, where);
  }

  #open(key: string, where: { at: InterfaceAddress; network: InterfaceAddress[] }): void {
    const { peerId, announcement, clock, random, onPeer, onGoodbye, logger } = this.#init;
    const link = new MdnsLink({
      ...where,
      instance: this.#instance,
      clock,
      random,
      announcement: () => ({ peerId, ...announcement(where.network) }),
      onPeer,
      onGoodbye,
      onFailure: (error) => {
        if (!this.#failed.has(key)) {
          logger.warn(
            { interface: where.at.name, error },
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
}
