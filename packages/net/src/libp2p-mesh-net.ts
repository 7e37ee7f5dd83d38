import type { Connection, Libp2p } from '@libp2p/interface';
import {
  gossipProtocol,
  helloProtocol,
  joinProtocol,
  type NodeRecord,
  type ProtocolDefinition,
  type SignedEnvelope,
} from '@mesh/wire';
import { multiaddr } from '@multiformats/multiaddr';
import {
  defaultInterfaceFilter,
  hostOf,
  type InterfaceFilter,
  isPlainAddress,
  parseAddress,
  reachableAddresses,
  withoutPeerId,
  withPeerId,
} from './addresses.ts';
import type { Channel } from './channel.ts';
import type { Clock } from './clock.ts';
import { DEFAULT_PORT, DIAL_TIMEOUT_MS } from './constants.ts';
import type { NetInit } from './create-net.ts';
import { Dialer } from './dialer.ts';
import { Door } from './door.ts';
import { Emitter } from './emitter.ts';
import { NetError } from './errors.ts';
import { Gossip } from './gossip.ts';
import { Greeter } from './greeter.ts';
import type { Identity } from './identity.ts';
import { Joining } from './joining.ts';
import type { Logger } from './logger.ts';
import { MdnsDiscovery } from './mdns/discovery.ts';
import { emptyMembership, type MembershipState, mergeRecords } from './membership/membership.ts';
import { foundMesh, type Role, signRecord } from './membership/records.ts';
import type { MembershipStore } from './membership-store.ts';
import type { MemberView, MeshNet, NetEvents, OwnRecord, ProtocolHandler, StrangerView } from './mesh-net.ts';
import { createNode } from './node.ts';
import { RecordPublisher } from './own-record.ts';
import { answerStream, openChannel } from './protocol-streams.ts';
import { RecordBook, signNodeRecord } from './record-book.ts';
import type { RememberedPeers } from './remembered-peers.ts';
import type { Session } from './session.ts';
import { Sessions } from './sessions.ts';
import { Strangers } from './strangers.ts';

/** What the parts of the network share. */
export interface Parts {
  logger: Logger;
  clock: Clock;
  random: () => number;
  identity: Identity;
  membership: MembershipStore;
  remembered: RememberedPeers;
}

/** Of two agents that see each other at once, the one with the larger peer id lets the other dial first. */
const POLITE_DELAY_MS = 150;

/** {@link MeshNet} over libp2p: puts the parts together and says which event of one is news for which other. */
export class Libp2pMeshNet implements MeshNet {
  readonly identity: Identity;
  readonly events: Emitter<NetEvents>;
  readonly #init: NetInit;
  readonly #parts: Parts;
  readonly #node: Libp2p;
  readonly #interfaces: InterfaceFilter;
  readonly #strangers: Strangers;
  readonly #book = new RecordBook();
  readonly #lastSeen = new Map<string, number>();
  readonly #greeted = new WeakSet<Connection>();
  readonly #sessions: Sessions;
  readonly #gossip: Gossip;
  readonly #greeter: Greeter;
  readonly #joining: Joining;
  readonly #dialer: Dialer;
  readonly #publisher: RecordPublisher;
  readonly #mdns: MdnsDiscovery | undefined;
  readonly #door: Door;

  private constructor(
    init: NetInit,
    parts: Parts,
    node: Libp2p,
    door: Door,
    strangers: Strangers,
    joining: { open: () => boolean },
  ) {
    const { clock, logger, identity, membership } = parts;
    this.#init = init;
    this.#parts = parts;
    this.#node = node;
    this.#door = door;
    this.#strangers = strangers;
    this.#interfaces = init.discovery.interfaces ?? defaultInterfaceFilter;
    this.identity = identity;
    this.events = new Emitter<NetEvents>((error, event) => {
      logger.error({ error, event }, 'A listener of the network failed.');
    });
    this.#sessions = new Sessions({
      self: identity.peerId,
      onUp: (peerId) => this.#up(peerId),
      onDown: (peerId, reason) => {
        this.#lastSeen.set(peerId, clock.now());
        this.#gossip.linksChanged();
        this.#dialer.urge(peerId, identity.peerId > peerId ? POLITE_DELAY_MS : 0);
        this.events.emit('member-down', peerId, reason);
      },
    });
    this.#gossip = new Gossip({
      sessions: this.#sessions,
      book: this.#book,
      clock,
      logger,
      isMember: (peerId) => this.isMember(peerId),
      mergeMembership: (records, from) => this.#merge(records, from),
      onRecord: (record) => this.#heardRecord(record),
    });
    this.#greeter = new Greeter({
      membership,
      clock,
      logger,
      introduce: () => ({
        name: this.self.name,
        agentVersion: init.agentVersion ?? '0.0.0',
        incarnation: this.#incarnation,
      }),
      merge: (records) => this.#merge(records),
      onSession: (session) => this.#run(session),
    });
    this.#joining = new Joining({
      identity,
      membership,
      clock,
      logger,
      name: init.name,
      addresses: () => this.#plainAddresses(),
      dial: (peerId, addresses, signal) => this.#dial(peerId, addresses, signal),
      adopt: (records) => this.#adopt(records),
      move: (state) => this.#move(state),
      greet: (connection) => this.#greet(connection),
    });
    joining.open = () => this.#joining.isInvitationOpen();
    this.#dialer = new Dialer({
      clock,
      logger,
      random: parts.random,
      isConnected: (peerId) => peerId === identity.peerId || this.#sessions.primary(peerId) !== undefined,
      isWanted: (peerId) => this.isMember(peerId) || this.#claimsOurMesh(peerId),
      connect: async (peerId, addresses) => {
        const connection = await this.#dial(peerId, addresses, AbortSignal.timeout(DIAL_TIMEOUT_MS));
        await this.#greet(connection);
        return connection;
      },
    });
    this.#publisher = new RecordPublisher({
      clock,
      describe: () => ({ ...this.self, addresses: this.#plainAddresses() }),
      send: (record) => this.#sendOwn(record),
    });
    for (const address of init.peers) this.#dialer.addManual(parseAddress(address));
    if (init.discovery.mdns) {
      this.#mdns = new MdnsDiscovery({
        peerId: identity.peerId,
        interfaces: this.#interfaces,
        clock,
        logger,
        random: parts.random,
        announcement: () => ({ meshId: membership.meshId, addresses: this.#plainAddresses() }),
        onPeer: (peer) => this.#discovered(peer.peerId, peer.addresses.filter(isPlainAddress), peer.meshId),
      });
    }
  }

  readonly #incarnation = Date.now();

  /** @throws {NetError} `NET_BAD_ADDRESS` */
  static async create(init: NetInit, parts: Parts): Promise<Libp2pMeshNet> {
    const strangers = new Strangers(parts.clock);
    const joining = { open: () => false };
    const door = new Door({
      isMember: (peerId) => parts.membership.members().has(peerId),
      isInvitationOpen: () => joining.open(),
      strangers,
      clock: parts.clock,
      logger: parts.logger,
    });
    const listen = init.addresses ?? [`/ip4/0.0.0.0/tcp/${init.listenPort ?? DEFAULT_PORT}`];
    const node = await createNode({ identity: parts.identity, listen, connectionGater: door.gater });
    return new Libp2pMeshNet(init, parts, node, door, strangers, joining);
  }

  get self(): { peerId: string; name: string } {
    const { peerId } = this.identity;
    return { peerId, name: this.#parts.membership.members().get(peerId)?.name ?? this.#init.name };
  }

  get meshId(): string {
    return this.#parts.membership.meshId;
  }

  async start(): Promise<void> {
    const node = this.#node;
    const { logger, remembered } = this.#parts;
    await node.handle(joinProtocol.id, (stream, connection) =>
      answerStream(stream, connection, joinProtocol, logger, (channel) => this.#joining.answer(channel)),
    );
    this.#serve(helloProtocol, (channel, connection) => this.#greeter.answerHello(channel, connection));
    this.#serve(gossipProtocol, (channel, connection) => this.#greeter.answerGossip(channel, connection));
    node.addEventListener('connection:open', ({ detail }) => this.#opened(detail));
    node.addEventListener('connection:close', ({ detail }) => this.#closed(detail));
    try {
      await node.start();
    } catch (error) {
      throw new NetError(
        'NET_LISTEN_FAILED',
        `The agent cannot listen on ${(this.#init.addresses ?? [`TCP port ${this.#init.listenPort ?? DEFAULT_PORT}`]).join(', ')}: stop what listens there, or choose another port.`,
        { cause: error },
      );
    }
    for (const peerId of remembered.peerIds()) {
      if (this.isMember(peerId)) this.#dialer.know(peerId, remembered.get(peerId)?.addresses ?? []);
    }
    this.#gossip.start();
    this.#publisher.start();
    this.#dialer.start();
    this.#mdns?.start();
  }

  async stop(): Promise<void> {
    this.#dialer.stop();
    this.#publisher.stop();
    this.#gossip.stop();
    await this.#mdns?.stop();
    this.#sessions.endAll('stopped');
    this.#gossip.stop();
    await this.#node.stop();
    await Promise.all([this.#parts.remembered.save(), this.#parts.membership.save()]);
  }

  members(): MemberView[] {
    const { membership, remembered, clock } = this.#parts;
    const views = [...membership.members().values()].map(({ peerId, name, roles }): MemberView => {
      const self = peerId === this.identity.peerId;
      const connected = self || this.#sessions.primary(peerId) !== undefined;
      const record = this.#book.get(peerId);
      const lastSeenMs = connected
        ? clock.now()
        : (this.#lastSeen.get(peerId) ?? remembered.get(peerId)?.lastSeenMs);
      const addresses = self
        ? this.#plainAddresses()
        : [...new Set([...(record?.addresses ?? []), ...(remembered.get(peerId)?.addresses ?? [])])];
      return {
        peerId,
        name,
        roles: [...roles],
        self,
        connected,
        addresses,
        ...(record === undefined ? {} : { record }),
        ...(lastSeenMs === undefined ? {} : { lastSeenMs }),
      };
    });
    return views.sort((a, b) => Number(b.self) - Number(a.self) || a.name.localeCompare(b.name));
  }

  strangers(): StrangerView[] {
    return this.#strangers
      .list()
      .filter(({ peerId }) => !this.isMember(peerId) && peerId !== this.identity.peerId);
  }

  isMember(peerId: string): boolean {
    return this.#parts.membership.members().has(peerId);
  }

  rolesOf(peerId: string): readonly Role[] {
    return this.#parts.membership.rolesOf(peerId);
  }

  connectedMembers(): string[] {
    return this.#sessions.connected();
  }

  addresses(): string[] {
    return this.#plainAddresses().map((address) => withPeerId(address, this.identity.peerId));
  }

  remoteHost(peerId: string): string | undefined {
    const session = this.#sessions.primary(peerId);
    return session === undefined ? undefined : hostOf(session.connection.remoteAddr.toString());
  }

  publish(record: OwnRecord): void {
    this.#publisher.publish(record);
  }

  handle<D, L>(protocol: ProtocolDefinition<D, L>, handler: ProtocolHandler<D, L>): void {
    this.#serve(protocol, async (channel, connection) => {
      const peerId = connection.remotePeer.toString();
      await this.#sessions.whenUp(peerId);
      await handler(channel, peerId);
    });
  }

  async open<D, L>(
    peerId: string,
    protocol: ProtocolDefinition<D, L>,
    options: { signal?: AbortSignal } = {},
  ): Promise<Channel<D, L>> {
    if (!this.isMember(peerId))
      throw new NetError('NET_NOT_A_MEMBER', `Peer ${peerId} is not a member of this mesh.`);
    const session = this.#sessions.primary(peerId);
    if (session === undefined) {
      const name = this.#parts.membership.members().get(peerId)?.name;
      throw new NetError('NET_NOT_CONNECTED', `Member ${name} is not connected; it is dialled until it is.`);
    }
    return openChannel(session.connection, protocol, this.#parts.logger, options);
  }

  invite(options: { ttlMs?: number; roles?: Role[] } = {}): string {
    return this.#joining.invite(options);
  }

  join(
    ticket: string,
    options: { force?: boolean; signal?: AbortSignal } = {},
  ): Promise<{ meshId: string; inviter: string }> {
    return this.#joining.join(ticket, options);
  }

  async remove(peerId: string): Promise<void> {
    this.#joining.requireAdmin('remove members');
    if (!this.isMember(peerId) || peerId === this.meshId) {
      const why =
        peerId === this.meshId
          ? 'founded the mesh, whose name is its key, and cannot be removed'
          : 'is not a member';
      throw new NetError('NET_UNKNOWN_MEMBER', `Peer ${peerId} ${why}; \`mesh peers\` lists the members.`);
    }
    const { meshId, identity } = this;
    const removedAt = this.#parts.clock.now();
    await this.#adopt([
      signRecord(
        { type: 'removal', version: 1, meshId, peerId, removedAt, issuer: identity.peerId },
        identity,
      ),
    ]);
  }

  /** Registers a protocol; streams of strangers are reset. */
  #serve<D, L>(
    protocol: ProtocolDefinition<D, L>,
    answer: (channel: Channel<L, D>, connection: Connection) => Promise<void>,
  ): void {
    const { logger } = this.#parts;
    const options = {
      maxInboundStreams: protocol.maxInboundStreams,
      maxOutboundStreams: protocol.maxInboundStreams,
    };
    this.#node
      .handle(
        protocol.id,
        (stream, connection) => {
          // Not libp2p's own middleware: `use()` keeps one list per protocol and appends the handler to it with every stream.
          if (!this.isMember(connection.remotePeer.toString())) {
            stream.abort(new NetError('NET_NOT_A_MEMBER', 'A stranger may join and nothing else.'));
            return;
          }
          return answerStream(stream, connection, protocol, logger, (channel) => answer(channel, connection));
        },
        options,
      )
      .catch((error: unknown) =>
        logger.error({ error, protocol: protocol.id }, 'A protocol could not be registered.'),
      );
  }

  async #dial(
    peerId: string | undefined,
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<Connection> {
    if (addresses.length === 0) throw new NetError('NET_NOT_CONNECTED', 'No address of the peer is known.');
    const expected = (peerId === undefined ? addresses : [peerId]).map((target) => this.#door.expect(target));
    try {
      const targets = addresses.map((address) =>
        multiaddr(peerId === undefined ? address : withPeerId(address, peerId)),
      );
      return await this.#node.dial(targets, { signal, force: true });
    } finally {
      for (const expectation of expected) expectation[Symbol.dispose]();
    }
  }

  /** Says hello on a connection we dialled, once. */
  async #greet(connection: Connection): Promise<void> {
    if (this.#greeted.has(connection)) return;
    this.#greeted.add(connection);
    await this.#greeter.greet(connection);
  }

  /** A session from its beginning to its end. */
  async #run(session: Session): Promise<void> {
    const { clock, logger, membership, remembered } = this.#parts;
    const { peerId, connection } = session;
    if (connection.direction === 'outbound') {
      remembered.remember(peerId, [withoutPeerId(connection.remoteAddr.toString())]);
    }
    this.#sessions.add(session, clock.monotonic());
    try {
      await this.#gossip.converse(session, () =>
        membership.state === session.toldMembership ? undefined : membership.records(),
      );
    } catch (error) {
      logger.debug({ peerId, error }, 'A session ended.');
    } finally {
      this.#sessions.end(session, 'closed');
    }
  }

  #up(peerId: string): void {
    this.#gossip.linksChanged();
    const known = this.#parts.remembered.get(peerId)?.addresses ?? this.#book.get(peerId)?.addresses ?? [];
    this.#dialer.know(peerId, known.filter(isPlainAddress));
    this.events.emit('member-up', peerId);
  }

  #opened(connection: Connection): void {
    this.#door.opened(connection);
    if (connection.direction !== 'inbound' || !this.isMember(connection.remotePeer.toString())) return;
    this.#greeter.expectHello(connection, () =>
      this.#sessions.all().some((session) => session.connection === connection),
    );
  }

  #closed(connection: Connection): void {
    this.#door.closed(connection);
    const session = this.#sessions.all().find((candidate) => candidate.connection.id === connection.id);
    if (session !== undefined) this.#sessions.end(session, 'closed');
  }

  #sendOwn(record: NodeRecord): void {
    const envelope = signNodeRecord(record, this.identity);
    this.#book.accept(envelope, () => true);
    this.#gossip.spread(record, envelope);
    this.events.emit('record', record);
  }

  #heardRecord(record: NodeRecord): void {
    const { peerId, addresses, sequence } = record;
    if (peerId === this.identity.peerId) {
      this.#publisher.outrun(sequence);
      return;
    }
    this.#lastSeen.set(peerId, this.#parts.clock.now());
    const usable = addresses.filter(isPlainAddress);
    this.#parts.remembered.remember(peerId, usable);
    this.#dialer.know(peerId, usable);
    this.events.emit('record', record);
  }

  #discovered(peerId: string, addresses: string[], meshId: string | undefined): void {
    if (!this.isMember(peerId)) {
      this.#strangers.saw(peerId, addresses, meshId);
      if (meshId !== this.meshId) return;
    }
    if (this.#sessions.primary(peerId) !== undefined) return;
    this.#dialer.know(peerId, addresses);
    this.#dialer.urge(peerId, this.identity.peerId > peerId ? POLITE_DELAY_MS : 0);
  }

  #claimsOurMesh(peerId: string): boolean {
    return this.#strangers
      .list()
      .some((stranger) => stranger.peerId === peerId && stranger.meshId === this.meshId);
  }

  /** Records from a peer. */
  #merge(records: readonly SignedEnvelope[], from?: Session): void {
    const { membership, logger } = this.#parts;
    const { accepted, rejected } = membership.merge(records);
    for (const reason of new Set(rejected)) logger.warn({ peerId: from?.peerId }, reason);
    if (accepted.length === 0) return;
    membership
      .save()
      .catch((error: unknown) => logger.error({ error }, 'The membership could not be written.'));
    this.#membershipChanged(accepted, from);
  }

  /** Records of our own making: on disk before anybody hears of them. */
  async #adopt(records: readonly SignedEnvelope[]): Promise<void> {
    const { accepted } = this.#parts.membership.merge(records);
    await this.#parts.membership.save();
    if (accepted.length > 0) this.#membershipChanged(accepted);
  }

  #membershipChanged(accepted: readonly SignedEnvelope[], from?: Session): void {
    const { logger, clock } = this.#parts;
    this.#gossip.spreadMembership(accepted, from);
    const removed = this.connectedMembers().filter((peerId) => !this.isMember(peerId));
    for (const peerId of removed) this.#sessions.endAllOf(peerId, 'removed');
    this.#book.prune((peerId) => this.isMember(peerId));
    if (!this.isMember(this.identity.peerId) && this.meshId !== this.identity.peerId) {
      logger.warn('This machine was removed from its mesh; it is a mesh of one now.');
      const own = foundMesh(this.identity, this.#init.name, clock.now());
      this.#move(mergeRecords(emptyMembership(this.identity.peerId), [own]).state).catch((error: unknown) => {
        logger.error({ error }, 'The membership could not be written.');
      });
      return;
    }
    this.events.emit('membership');
  }

  async #move(state: MembershipState): Promise<void> {
    await this.#parts.membership.replace(state);
    this.#sessions.endAll('left');
    this.#book.prune((peerId) => this.isMember(peerId));
    this.#dialer.urge();
    this.#publisher.refresh();
    this.#mdns?.refresh();
    this.events.emit('membership');
  }

  #plainAddresses(): string[] {
    return reachableAddresses(this.#node.getMultiaddrs(), this.#interfaces);
  }
}
