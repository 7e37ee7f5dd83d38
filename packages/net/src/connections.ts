import type { Connection } from '@libp2p/interface';
import { gossipProtocol, helloProtocol } from '@mesh/wire';
import { withoutPeerId } from './addresses.ts';
import type { Clock } from './clock.ts';
import { DIAL_TIMEOUT_MS } from './constants.ts';
import { NetError } from './errors.ts';
import type { Gossip } from './gossip.ts';
import type { Greeter } from './greeter.ts';
import type { Logger } from './logger.ts';
import type { MembershipStore } from './membership-store.ts';
import type { RememberedPeers } from './remembered-peers.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import type { Switchboard } from './switchboard.ts';

/** What makes connections into sessions. */
export interface ConnectionsComponents {
  /** Own peer id. */
  self: string;
  switchboard: Switchboard;
  greeter: Greeter;
  gossip: Gossip;
  sessions: Sessions;
  membership: MembershipStore;
  remembered: RememberedPeers;
  clock: Clock;
  logger: Logger;
}

/** The way of every connection: dialled or accepted, greeted, a session, gone. */
export class Connections {
  readonly #components: ConnectionsComponents;
  readonly #greeted = new WeakSet<Connection>();

  constructor(components: ConnectionsComponents) {
    this.#components = components;
  }

  /** @throws {NetError} `NET_LISTEN_FAILED` */
  async start(): Promise<void> {
    const { switchboard, greeter } = this.#components;
    switchboard.serve(helloProtocol, (channel, connection) => greeter.answerHello(channel, connection));
    switchboard.serve(gossipProtocol, (channel, connection) => greeter.answerGossip(channel, connection));
    await switchboard.start({
      onOpen: (connection) => this.#opened(connection),
      onClose: (connection) => this.#closed(connection),
    });
  }

  /** Dials and says hello; resolves when the session stands, or when who answers is this agent itself. */
  async connect(peerId: string | undefined, addresses: readonly string[]): Promise<Connection> {
    const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS);
    const connection = await this.#components.switchboard.dial(peerId, addresses, signal);
    if (connection.remotePeer.toString() === this.#components.self) {
      // One list of addresses serves all machines, and this one is among them.
      connection.abort(new NetError('NET_CLOSED', 'An agent does not talk to itself.'));
      return connection;
    }
    await this.greet(connection);
    return connection;
  }

  /** Says hello on a connection we dialled, once: two dials to the same peer may have been given the same connection. */
  async greet(connection: Connection): Promise<void> {
    if (this.#greeted.has(connection)) return;
    this.#greeted.add(connection);
    await this.#components.greeter.greet(connection);
  }

  /** A session from its beginning to its end. */
  async run(session: Session): Promise<void> {
    const { clock, gossip, logger, membership, remembered, sessions } = this.#components;
    const { peerId, connection } = session;
    if (connection.direction === 'outbound') {
      remembered.remember(peerId, [withoutPeerId(connection.remoteAddr.toString())]);
    }
    sessions.add(session, clock.monotonic());
    try {
      const missed = () => (membership.state === session.toldMembership ? undefined : membership.records());
      await gossip.converse(session, missed);
    } catch (error) {
      logger.debug({ peerId, error }, 'A session ended.');
    } finally {
      sessions.end(session, 'closed');
    }
  }

  #opened(connection: Connection): void {
    const { greeter, membership, sessions } = this.#components;
    if (connection.direction !== 'inbound' || !membership.members().has(connection.remotePeer.toString()))
      return;
    greeter.expectHello(connection, () =>
      sessions.all().some((session) => session.connection === connection),
    );
  }

  #closed({ id }: Connection): void {
    const { sessions } = this.#components;
    const session = sessions.all().find(({ connection }) => connection.id === id);
    if (session !== undefined) sessions.end(session, 'closed');
  }
}
