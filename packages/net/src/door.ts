import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface';
import { withoutPeerId } from './addresses.ts';
import type { Clock, Timer } from './clock.ts';
import { MAX_STRANGER_CONNECTIONS, STRANGER_STAY_MS } from './constants.ts';
import { NetError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Strangers } from './strangers.ts';

/** What the door needs to know. */
export interface DoorComponents {
  isMember: (peerId: string) => boolean;
  /** Whether a stranger may come in to show a ticket's token. */
  isInvitationOpen: () => boolean;
  strangers: Strangers;
  clock: Clock;
  logger: Logger;
}

/**
 * Who may connect. Noise proves a peer's id before we are asked; then members pass, and nobody else, save a few strangers for a few
 * seconds while an invitation is open. Outbound, too, only to members, and to whom we mean to dial though we hold no certificate.
 */
export class Door {
  readonly #components: DoorComponents;
  /** Peer ids and addresses that are being dialled on purpose, with how many dials. */
  readonly #expected = new Map<string, number>();
  /** Strangers let in: their connections. */
  readonly #visitors = new Set<Connection>();
  /** Strangers admitted whose connection is not there yet; should it never come, the place must not stay taken. */
  readonly #admitted = new Set<{ peerId: string; timer: Timer }>();

  constructor(components: DoorComponents) {
    this.#components = components;
  }

  readonly gater: ConnectionGater = {
    denyDialMultiaddr: () => false,
    denyInboundEncryptedConnection: (peerId: PeerId, { remoteAddr }) =>
      this.#deniesInbound(peerId.toString(), remoteAddr.toString()),
    denyOutboundEncryptedConnection: (peerId: PeerId, { remoteAddr }) => {
      const { isMember } = this.#components;
      const id = peerId.toString();
      return (
        !isMember(id) && !this.#expected.has(id) && !this.#expected.has(withoutPeerId(remoteAddr.toString()))
      );
    },
  };

  /** Lets dials to a peer id, or to an address whose peer is not known, through until released. */
  expect(peerOrAddress: string): Disposable {
    this.#expected.set(peerOrAddress, (this.#expected.get(peerOrAddress) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#expected.get(peerOrAddress) ?? 1) - 1;
        if (left === 0) this.#expected.delete(peerOrAddress);
        else this.#expected.set(peerOrAddress, left);
      },
    };
  }

  /** A connection stands. If it is a stranger's, it will not for long. */
  opened(connection: Connection): void {
    const { clock, isMember } = this.#components;
    const peerId = connection.remotePeer.toString();
    if (connection.direction !== 'inbound' || isMember(peerId)) return;
    const admission = [...this.#admitted].find((admitted) => admitted.peerId === peerId);
    if (admission !== undefined) this.#leave(admission);
    this.#visitors.add(connection);
    clock.after(STRANGER_STAY_MS, () => {
      if (!isMember(peerId))
        connection.abort(new NetError('NET_NOT_A_MEMBER', 'A stranger stayed too long.'));
    });
  }

  closed(connection: Connection): void {
    this.#visitors.delete(connection);
  }

  #deniesInbound(peerId: string, address: string): boolean {
    const { isMember, isInvitationOpen, strangers, clock, logger } = this.#components;
    if (isMember(peerId)) return false;
    if (strangers.saw(peerId, [withoutPeerId(address)])) {
      logger.info({ peerId, address }, 'A stranger knocked.');
    }
    if (!isInvitationOpen() || this.#visitors.size + this.#admitted.size >= MAX_STRANGER_CONNECTIONS)
      return true;
    const admission = { peerId, timer: clock.after(STRANGER_STAY_MS, () => this.#leave(admission)) };
    this.#admitted.add(admission);
    return false;
  }

  #leave(admission: { peerId: string; timer: Timer }): void {
    admission.timer.cancel();
    this.#admitted.delete(admission);
  }
}
