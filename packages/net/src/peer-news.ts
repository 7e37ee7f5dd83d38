import type { NodeRecord } from '@mesh/wire';
import { isPlainAddress } from './addresses.ts';
import type { Dialer } from './dialer.ts';
import type { Directory } from './directory.ts';
import type { Emitter } from './emitter.ts';
import type { Gossip } from './gossip.ts';
import type { Identity } from './identity.ts';
import type { MembershipStore } from './membership-store.ts';
import type { DownReason, NetEvents } from './mesh-net.ts';
import type { RecordPublisher } from './own-record.ts';
import { type RecordBook, signNodeRecord } from './record-book.ts';
import type { RememberedPeers } from './remembered-peers.ts';
import type { Renewals } from './renewals.ts';
import type { Sessions } from './sessions.ts';
import type { Strangers } from './strangers.ts';

/** Of two agents that see each other at once, the one with the larger peer id lets the other dial first. */
const POLITE_DELAY_MS = 150;

/** For whom it is news that a peer came, went, or said something of itself. */
export interface PeerNewsComponents {
  identity: Identity;
  membership: MembershipStore;
  events: Emitter<NetEvents>;
  sessions: Sessions;
  gossip: Gossip;
  book: RecordBook;
  directory: Directory;
  strangers: Strangers;
  remembered: RememberedPeers;
  dialer: Dialer;
  publisher: RecordPublisher;
  renewals: Renewals;
}

/** Tells each part of the network what the others saw of a peer. */
export class PeerNews {
  readonly #components: PeerNewsComponents;

  constructor(components: PeerNewsComponents) {
    this.#components = components;
  }

  /** A session with a member stands. */
  up(peerId: string): void {
    const { gossip, remembered, book, dialer, events, renewals } = this.#components;
    gossip.linksChanged();
    const known = remembered.get(peerId)?.addresses ?? book.get(peerId)?.addresses ?? [];
    dialer.know(peerId, known.filter(isPlainAddress));
    events.emit('member-up', peerId);
    renewals.renew([peerId]);
  }

  /** The last session with it is over. */
  down(peerId: string, reason: DownReason): void {
    const { directory, gossip, dialer, events } = this.#components;
    directory.saw(peerId);
    gossip.linksChanged();
    dialer.urge(peerId, this.#politeDelayMs(peerId));
    events.emit('member-down', peerId, reason);
  }

  /** Discovery saw it. */
  discovered(peerId: string, addresses: string[], meshId: string | undefined): void {
    const { membership, strangers, sessions, dialer } = this.#components;
    if (!membership.members().has(peerId)) {
      strangers.saw(peerId, addresses, meshId);
      if (meshId !== membership.meshId) return;
    }
    if (sessions.primary(peerId) !== undefined) return;
    dialer.know(peerId, addresses);
    dialer.urge(peerId, this.#politeDelayMs(peerId));
  }

  /** A newer record came by gossip. */
  heard(record: NodeRecord): void {
    const { identity, publisher, directory, remembered, dialer, events } = this.#components;
    const { peerId, addresses, sequence } = record;
    if (peerId === identity.peerId) {
      publisher.outrun(sequence);
      return;
    }
    directory.saw(peerId);
    const usable = addresses.filter(isPlainAddress);
    remembered.remember(peerId, usable);
    dialer.know(peerId, usable);
    events.emit('record', record);
  }

  /** This agent's own record is due. */
  tell(record: NodeRecord): void {
    const { identity, book, gossip, events } = this.#components;
    const envelope = signNodeRecord(record, identity);
    book.accept(envelope, () => true);
    gossip.spread(record, envelope);
    events.emit('record', record);
  }

  #politeDelayMs(peerId: string): number {
    return this.#components.identity.peerId > peerId ? POLITE_DELAY_MS : 0;
  }
}
