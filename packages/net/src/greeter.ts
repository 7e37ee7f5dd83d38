import type { Connection } from '@libp2p/interface';
import { gossipProtocol, type Hello, helloProtocol } from '@mesh/wire';
import type { Channel } from './channel.ts';
import type { Clock } from './clock.ts';
import { HELLO_TIMEOUT_MS } from './constants.ts';
import { NetError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { MembershipState } from './membership/membership.ts';
import type { MembershipStore } from './membership-store.ts';
import { openChannel } from './protocol-streams.ts';
import { Session } from './session.ts';

/** What hellos need. */
export interface GreeterComponents {
  membership: MembershipStore;
  clock: Clock;
  logger: Logger;
  /** What we say of ourselves. */
  introduce: () => Omit<Hello, 'version' | 'meshId' | 'membership' | 'only'>;
  /** Whether there is a session with a peer. */
  isConnected: (peerId: string) => boolean;
  /** Membership records came with a hello. */
  merge: (records: Hello['membership']) => void;
  /** Both sides said hello: run the session to its end. */
  onSession: (session: Session) => Promise<void>;
}

interface Greeting {
  hello: Hello;
  toldMembership: MembershipState;
}

/**
 * The first words on every connection. `dial()` resolves before the other side has decided to let us in, so only a round trip proves
 * that we are in; it also carries the certificates by which each side knows the other.
 */
export class Greeter {
  readonly #components: GreeterComponents;
  readonly #greetings = new WeakMap<Connection, Greeting>();

  constructor(components: GreeterComponents) {
    this.#components = components;
  }

  /**
   * Says hello on a connection we dialled; resolves when its session stands.
   * @throws {NetError} `NET_NOT_CONNECTED`, `NET_NOT_A_MEMBER`, `NET_CLOSED`
   */
  async greet(connection: Connection): Promise<void> {
    const { logger, clock, onSession } = this.#components;
    const signal = AbortSignal.timeout(HELLO_TIMEOUT_MS);
    try {
      const toldMembership = this.#components.membership.state;
      const channel = await openChannel(connection, helloProtocol, logger, { signal });
      signal.addEventListener('abort', () => channel.abort(timedOut()));
      const only = !this.#components.isConnected(connection.remotePeer.toString());
      await channel.send({ ...this.#ownHello(), only });
      await channel.end();
      const hello = await channel.receive();
      if (hello === undefined) throw timedOut();
      this.#check(connection, hello);
      const gossip = await openChannel(connection, gossipProtocol, logger, { signal });
      const session = new Session({
        connection,
        channel: gossip,
        hello,
        toldMembership,
        now: clock.monotonic(),
      });
      void onSession(session);
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  /** Answers a hello. */
  async answerHello(channel: Channel<Hello, Hello>, connection: Connection): Promise<void> {
    const hello = await channel.receive();
    if (hello === undefined) throw timedOut();
    this.#check(connection, hello);
    const toldMembership = this.#components.membership.state;
    this.#greetings.set(connection, { hello, toldMembership });
    await channel.send(this.#ownHello());
  }

  /** Takes the peer's gossip stream, which makes the session. */
  async answerGossip(channel: Session['channel'], connection: Connection): Promise<void> {
    const greeting = this.#greetings.get(connection);
    if (greeting === undefined) {
      throw new NetError('NET_NOT_CONNECTED', 'Gossip was opened on a connection without a hello.');
    }
    const { clock, onSession } = this.#components;
    await onSession(new Session({ connection, channel, ...greeting, now: clock.monotonic() }));
  }

  /** Closes an inbound connection on which nobody says hello. */
  expectHello(connection: Connection, isUsed: () => boolean): void {
    this.#components.clock.after(HELLO_TIMEOUT_MS, () => {
      if (connection.status === 'open' && !isUsed()) connection.abort(timedOut());
    });
  }

  #ownHello(): Hello {
    const { introduce, membership } = this.#components;
    return { version: 1, ...introduce(), meshId: membership.meshId, membership: membership.records() };
  }

  #check(connection: Connection, hello: Hello): void {
    const { membership, merge } = this.#components;
    const peerId = connection.remotePeer.toString();
    if (hello.meshId !== membership.meshId) {
      throw new NetError('NET_NOT_A_MEMBER', `Peer ${peerId} (${hello.name}) belongs to another mesh.`);
    }
    merge(hello.membership);
    if (!membership.members().has(peerId)) {
      throw new NetError(
        'NET_NOT_A_MEMBER',
        `Peer ${peerId} (${hello.name}) has no valid certificate of this mesh.`,
      );
    }
  }
}

function timedOut(): NetError {
  return new NetError('NET_CLOSED', 'A peer connected but did not say hello.');
}
