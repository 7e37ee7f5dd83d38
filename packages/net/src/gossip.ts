import type { GossipMessage, NodeRecord, SignedEnvelope } from '@mesh/wire';
import type { Clock, Timer } from './clock.ts';
import { PING_INTERVAL_MS, PROBE_LIMIT_MS, SILENCE_LIMIT_MS } from './constants.ts';
import { codeOf } from './errors.ts';
import type { Logger } from './logger.ts';
import type { RecordBook } from './record-book.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** Node records of one message: a few kilobytes each at most, far below the frame's limit. */
const RECORDS_PER_MESSAGE = 128;
/** Changes of who is connected to whom are told together, this much later. */
const LINKS_DELAY_MS = 50;
/** A timer this late means that this process itself did not run. */
const NOTABLE_LAG_MS = 200;

/** What gossip needs of the rest. */
export interface GossipComponents {
  sessions: Sessions;
  book: RecordBook;
  clock: Clock;
  logger: Logger;
  isMember: (peerId: string) => boolean;
  /** Membership records came; returns those that were new. */
  mergeMembership: (records: readonly SignedEnvelope[], from: Session) => void;
  onRecord: (record: NodeRecord) => void;
}

/**
 * Spreads node records, membership records and signs of life over the sessions. A record is passed on to those who, by their own
 * word, are not connected to its subject: in a full mesh nothing is sent twice, in a partial one everything still arrives.
 */
export class Gossip {
  readonly #components: GossipComponents;
  #tick: Timer | undefined;
  #tickDue = 0;
  #linksTimer: Timer | undefined;
  #probeTimer: Timer | undefined;

  constructor(components: GossipComponents) {
    this.#components = components;
  }

  start(): void {
    this.#scheduleTick();
  }

  stop(): void {
    this.#tick?.cancel();
    this.#linksTimer?.cancel();
    this.#linksTimer = undefined;
    this.#probeTimer?.cancel();
  }

  /** Sends a sign of life on every session at once: one whose peer has given it up ends by that. */
  greetAll(): void {
    for (const session of this.#components.sessions.all()) session.ping();
  }

  /** There is reason to doubt every session: those whose peers are not heard of soon end. */
  probe(): void {
    const { sessions, clock, logger } = this.#components;
    const since = clock.monotonic();
    const doubted = sessions.all();
    this.greetAll();
    this.#probeTimer?.cancel();
    this.#probeTimer = clock.after(PROBE_LIMIT_MS, () => {
      // Late itself, it proves nothing.
      if (clock.monotonic() - since > PROBE_LIMIT_MS + PING_INTERVAL_MS) return;
      for (const session of doubted) {
        if (session.lastHeard > since) continue;
        logger.info({ peerId: session.peerId }, 'A connection did not outlive a change of the network.');
        sessions.end(session, 'silent');
      }
    });
  }

  /** Converses on a session until it ends. */
  async converse(session: Session, membership: () => readonly SignedEnvelope[] | undefined): Promise<void> {
    const { book, clock, sessions } = this.#components;
    const missed = membership();
    if (missed !== undefined) session.tell({ type: 'membership', records: [...missed] });
    this.#tellRecords(session, book.envelopes());
    session.tell({ type: 'links', peers: sessions.connected() });
    for await (const message of session.channel) {
      session.lastHeard = clock.monotonic();
      this.#heard(session, message);
    }
  }

  /** A record of our own, or one that came: to everybody who will not get it from its subject. */
  spread(record: NodeRecord, envelope: SignedEnvelope, from?: Session): void {
    for (const session of this.#components.sessions.primaries()) {
      if (session.peerId === record.peerId || session.peerId === from?.peerId) continue;
      if (from !== undefined && session.links.has(record.peerId)) continue;
      session.tell({ type: 'nodes', records: [envelope] });
    }
  }

  spreadMembership(records: readonly SignedEnvelope[], from?: Session): void {
    for (const session of this.#components.sessions.primaries()) {
      if (session.peerId !== from?.peerId) session.tell({ type: 'membership', records: [...records] });
    }
  }

  /** Who is connected to us changed. */
  linksChanged(): void {
    this.#linksTimer ??= this.#components.clock.after(LINKS_DELAY_MS, () => {
      this.#linksTimer = undefined;
      const peers = this.#components.sessions.connected();
      for (const session of this.#components.sessions.primaries()) session.tell({ type: 'links', peers });
    });
  }

  #tellRecords(session: Session, envelopes: readonly SignedEnvelope[]): void {
    for (let at = 0; at < envelopes.length; at += RECORDS_PER_MESSAGE) {
      session.tell({ type: 'nodes', records: envelopes.slice(at, at + RECORDS_PER_MESSAGE) });
    }
  }

  #heard(session: Session, message: GossipMessage): void {
    switch (message.type) {
      case 'ping':
        return;
      case 'links':
        session.links = new Set(message.peers);
        return;
      case 'membership':
        this.#components.mergeMembership(message.records, session);
        return;
      case 'nodes':
        for (const envelope of message.records) this.#accept(envelope, session);
    }
  }

  #accept(envelope: SignedEnvelope, from: Session): void {
    const { book, isMember, logger, onRecord } = this.#components;
    try {
      const record = book.accept(envelope, isMember);
      if (record === undefined) return;
      this.spread(record, envelope, from);
      onRecord(record);
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      // One bad record, perhaps of a newer version, is no reason to lose touch with the peer that passed it on.
      logger.warn(
        { peerId: from.peerId, code: codeOf(error) },
        'A member passed on a record that is not valid.',
      );
    }
  }

  #scheduleTick(): void {
    const { clock } = this.#components;
    this.#tickDue = clock.monotonic() + PING_INTERVAL_MS;
    this.#tick = clock.after(PING_INTERVAL_MS, () => {
      this.#ping();
      this.#scheduleTick();
    });
  }

  #ping(): void {
    const { sessions, clock, isMember, logger } = this.#components;
    const now = clock.monotonic();
    const lag = now - this.#tickDue;
    for (const session of sessions.all()) {
      // While this process did not run, nobody could be heard: that is not the peer's silence.
      if (lag > NOTABLE_LAG_MS) session.lastHeard += lag;
      if (!isMember(session.peerId)) {
        sessions.end(session, 'removed');
      } else if (now - session.lastHeard >= SILENCE_LIMIT_MS) {
        logger.warn(
          { peerId: session.peerId },
          'A member has been silent for too long; its connection was closed.',
        );
        sessions.end(session, 'silent');
      } else {
        session.ping();
      }
    }
    for (const session of sessions.spare(now)) sessions.end(session, 'closed');
  }
}
