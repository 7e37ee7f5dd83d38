import type { SignedEnvelope } from '@mesh/wire';
import type { Clock } from './clock.ts';
import { NetError } from './errors.ts';
import type { Gossip } from './gossip.ts';
import type { Identity } from './identity.ts';
import type { Logger } from './logger.ts';
import { emptyMembership, type MembershipState, mergeRecords } from './membership/membership.ts';
import { foundMesh, signRecord } from './membership/records.ts';
import type { MembershipStore } from './membership-store.ts';
import type { RecordBook } from './record-book.ts';
import type { RememberedPeers } from './remembered-peers.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** What the roster keeps in step. */
export interface RosterComponents {
  identity: Identity;
  /** Name of this machine where it is alone. */
  name: string;
  membership: MembershipStore;
  sessions: Sessions;
  gossip: Gossip;
  book: RecordBook;
  remembered: RememberedPeers;
  clock: Clock;
  logger: Logger;
  /** Members changed. */
  onChange: () => void;
  /** This agent is in another mesh now. */
  onMove: () => void;
}

/** Changes of membership and what follows from them: to disk, to the others, out of the door. */
export class Roster {
  readonly #components: RosterComponents;

  constructor(components: RosterComponents) {
    this.#components = components;
  }

  /** Records a peer told us. */
  merge(records: readonly SignedEnvelope[], from?: Session): void {
    const { membership, logger } = this.#components;
    const { accepted, rejected } = membership.merge(records);
    for (const reason of new Set(rejected)) logger.warn({ peerId: from?.peerId }, reason);
    if (accepted.length === 0) return;
    membership
      .save()
      .catch((error: unknown) => logger.error({ error }, 'The membership could not be written.'));
    this.#changed(accepted, from);
  }

  /** Records of our own making: on disk before anybody hears of them. */
  async adopt(records: readonly SignedEnvelope[]): Promise<void> {
    const { membership } = this.#components;
    const { accepted } = membership.merge(records);
    await membership.save();
    if (accepted.length > 0) this.#changed(accepted);
  }

  /** Removes a member. @throws {NetError} `NET_UNKNOWN_MEMBER` */
  async remove(peerId: string): Promise<void> {
    const { membership, clock, identity } = this.#components;
    const { meshId } = membership;
    if (!membership.members().has(peerId) || peerId === meshId) {
      const why =
        peerId === meshId
          ? 'founded the mesh, whose name is its key, and cannot be removed'
          : 'is not a member';
      throw new NetError('NET_UNKNOWN_MEMBER', `Peer ${peerId} ${why}; \`mesh peers\` lists the members.`);
    }
    const removedAt = clock.now();
    const issuer = identity.peerId;
    await this.adopt([
      signRecord({ type: 'removal', version: 1, meshId, peerId, removedAt, issuer }, identity),
    ]);
  }

  /** Leaves the mesh for another. */
  async move(state: MembershipState): Promise<void> {
    const { membership, sessions, onMove } = this.#components;
    await membership.replace(state);
    sessions.endAll('left');
    this.#forgetStrangers();
    onMove();
  }

  #changed(accepted: readonly SignedEnvelope[], from?: Session): void {
    const { gossip, sessions, membership, identity, name, clock, logger, onChange } = this.#components;
    gossip.spreadMembership(accepted, from);
    for (const peerId of sessions.connected()) {
      if (!membership.members().has(peerId)) sessions.endAllOf(peerId, 'removed');
    }
    this.#forgetStrangers();
    if (membership.members().has(identity.peerId)) {
      onChange();
      return;
    }
    logger.warn('This machine was removed from its mesh; it is a mesh of one now.');
    const own = foundMesh(identity, name, clock.now());
    this.move(mergeRecords(emptyMembership(identity.peerId), [own]).state).catch((error: unknown) => {
      logger.error({ error }, 'The membership could not be written.');
    });
  }

  #forgetStrangers(): void {
    const { membership, book, remembered } = this.#components;
    const members = membership.members();
    book.prune((peerId) => members.has(peerId));
    for (const peerId of remembered.peerIds()) if (!members.has(peerId)) remembered.forget(peerId);
  }
}
