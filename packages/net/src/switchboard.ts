import type { Connection, Libp2p } from '@libp2p/interface';
import type { ProtocolDefinition } from '@mesh/wire';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { readableAddress } from './addresses.ts';
import type { Channel } from './channel.ts';
import { NEXT_ADDRESS_MS } from './constants.ts';
import { Door, type DoorComponents } from './door.ts';
import { dialFault, NetError } from './errors.ts';
import { firstOf } from './first-of.ts';
import type { Identity } from './identity.ts';
import { createNode } from './node.ts';
import { answerStream } from './protocol-streams.ts';
import { resolveNames } from './resolve-names.ts';

/** How the switchboard is set up. */
export interface SwitchboardInit {
  identity: Identity;
  /** Multiaddrs to listen on. */
  listen: string[];
  /** A peer's addresses, those most likely to answer first. */
  order: (addresses: readonly string[]) => string[];
}

/** Told of connections. */
export interface SwitchboardEvents {
  onOpen: (connection: Connection) => void;
  onClose: (connection: Connection) => void;
}

/** The libp2p node behind its door: connections out and in, and the protocols answered on them. */
export class Switchboard {
  readonly #components: DoorComponents;
  readonly #init: SwitchboardInit;
  readonly #node: Libp2p;
  readonly #door: Door;

  private constructor(init: SwitchboardInit, components: DoorComponents, node: Libp2p, door: Door) {
    this.#init = init;
    this.#components = components;
    this.#node = node;
    this.#door = door;
  }

  static async create(init: SwitchboardInit, components: DoorComponents): Promise<Switchboard> {
    const door = new Door(components);
    const node = await createNode({ ...init, connectionGater: door.gater });
    return new Switchboard(init, components, node, door);
  }

  /** @throws {NetError} `NET_LISTEN_FAILED` */
  async start(events: SwitchboardEvents): Promise<void> {
    this.#node.addEventListener('connection:open', ({ detail }) => {
      this.#door.opened(detail);
      events.onOpen(detail);
    });
    this.#node.addEventListener('connection:close', ({ detail }) => {
      this.#door.closed(detail);
      events.onClose(detail);
    });
    try {
      await this.#node.start();
    } catch (error) {
      throw new NetError(
        'NET_LISTEN_FAILED',
        `The agent cannot listen on ${this.#init.listen.join(', ')}: stop what listens there, or choose another port.`,
        { cause: error },
      );
    }
  }

  async stop(): Promise<void> {
    await this.#node.stop();
  }

  /** Addresses the node listens on. */
  listening(): Multiaddr[] {
    return this.#node.getMultiaddrs();
  }

  /**
   * Answers a protocol. Streams of strangers are reset.
   * @param open whether strangers may speak it too
   */
  serve<D, L>(
    protocol: ProtocolDefinition<D, L>,
    answer: (channel: Channel<L, D>, connection: Connection) => Promise<void>,
    { open = false } = {},
  ): void {
    const { isMember, logger } = this.#components;
    const limits = {
      maxInboundStreams: protocol.maxInboundStreams,
      maxOutboundStreams: protocol.maxInboundStreams,
    };
    this.#node
      .handle(
        protocol.id,
        (stream, connection) => {
          // Not libp2p's own middleware: `use()` keeps one list per protocol and appends the handler to it with every stream.
          if (!open && !isMember(connection.remotePeer.toString())) {
            stream.abort(new NetError('NET_NOT_A_MEMBER', 'A stranger may join and nothing else.'));
            return;
          }
          return answerStream(stream, connection, protocol, logger, (channel) => answer(channel, connection));
        },
        limits,
      )
      .catch((error: unknown) =>
        logger.error({ error, protocol: protocol.id }, 'A protocol could not be registered.'),
      );
  }

  /**
   * Dials a peer, or whoever is at the addresses; always a new connection. Names are resolved anew; addresses are tried in the order
   * of their promise, each beside those that are slow to answer.
   * @throws {NetError} `NET_NOT_CONNECTED`
   */
  async dial(
    peerId: string | undefined,
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<Connection> {
    if (addresses.length === 0) throw new NetError('NET_NOT_CONNECTED', 'No address of the peer is known.');
    let tried: string[] = [];
    try {
      tried = this.#init.order(await resolveNames(addresses));
      return await firstOf(tried, (address, over) => this.#dialAt(peerId, address, over), {
        staggerMs: NEXT_ADDRESS_MS,
        signal,
        drop: (connection) => connection.abort(new NetError('NET_CLOSED', 'Another address was faster.')),
      });
    } catch (error) {
      const faults =
        error instanceof AggregateError
          ? tried.map((at, index) => `${readableAddress(at)}: ${dialFault(error.errors[index])}`)
          : [dialFault(error)];
      throw new NetError('NET_NOT_CONNECTED', `Nobody we may talk to answers (${faults.join('; ')}).`, {
        cause: error,
      });
    }
  }

  /** Without the peer id: libp2p joins all dials of one peer into one, which tries one address after the other. */
  async #dialAt(peerId: string | undefined, address: string, signal: AbortSignal): Promise<Connection> {
    using _ = this.#door.expect(peerId ?? address);
    const connection = await this.#node.dial(multiaddr(address), { signal, force: true });
    const found = connection.remotePeer.toString();
    if (peerId === undefined || found === peerId) return connection;
    const error = new NetError('NET_NOT_CONNECTED', `another machine, ${found}, answers there`);
    connection.abort(error);
    throw error;
  }
}
