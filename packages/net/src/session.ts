import type { Connection } from '@libp2p/interface';
import type { GossipMessage, Hello } from '@mesh/wire';
import { gossipProtocol, helloProtocol } from '@mesh/wire';
import type { Channel } from './channel.ts';
import type { MembershipState } from './membership/membership.ts';

/** What makes a session: a connection on which both sides said hello and gossip flows. */
export interface SessionInit {
  connection: Connection;
  channel: Channel<GossipMessage, GossipMessage>;
  hello: Hello;
  /** The membership we told the peer in our hello. */
  toldMembership: MembershipState;
  /** Monotonic milliseconds. */
  now: number;
}

/** One usable connection to a member. */
export class Session {
  readonly peerId: string;
  readonly connection: Connection;
  readonly channel: Channel<GossipMessage, GossipMessage>;
  readonly hello: Hello;
  readonly toldMembership: MembershipState;
  /** Monotonic milliseconds of its beginning. */
  readonly since: number;
  /** Members the peer is connected to, by its own word. */
  links: ReadonlySet<string> = new Set();
  /** Monotonic milliseconds of its last message; moved on by as long as this process itself was not listening. */
  lastHeard: number;
  /** Whether a bad record it passed on was logged: it will come again every few seconds. */
  warned = false;
  #pinging = false;

  constructor(init: SessionInit) {
    this.peerId = init.connection.remotePeer.toString();
    this.connection = init.connection;
    this.channel = init.channel;
    this.hello = init.hello;
    this.toldMembership = init.toldMembership;
    this.since = init.now;
    this.lastHeard = init.now;
  }

  /** Sends without waiting; what cannot be sent is lost with the session. */
  tell(message: GossipMessage): void {
    // The channel's end is noticed where it is read.
    this.channel.send(message).catch(() => undefined);
  }

  /** Sends a sign of life unless the last one is still waiting to leave. */
  ping(): void {
    if (this.#pinging) return;
    this.#pinging = true;
    const done = () => {
      this.#pinging = false;
    };
    this.channel.send({ type: 'ping' }).then(done, done);
  }

  /** Whether nothing but our own hello and gossip runs on its connection. */
  isIdle(): boolean {
    const ours: string[] = [gossipProtocol.id, helloProtocol.id];
    return this.connection.streams.every(({ protocol }) => ours.includes(protocol));
  }

  abort(error: Error): void {
    this.channel.abort(error);
    this.connection.abort(error);
  }
}
