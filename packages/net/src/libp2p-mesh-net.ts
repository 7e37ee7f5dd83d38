import { joinProtocol, type NodeRecord, type ProtocolDefinition } from '@mesh/wire';
import {
  addressesToTell,
  hostOf,
  isPlainAddress,
  orderForDialing,
  parseAddress,
  reachableAddresses,
  withPeerId,
} from './addresses.ts';
import type { Channel } from './channel.ts';
import type { Clock, Timer } from './clock.ts';
import { Connections } from './connections.ts';
import { DEFAULT_PORT, RENEW_INTERVAL_MS } from './constants.ts';
import type { NetInit } from './create-net.ts';
import { Dialer } from './dialer.ts';
import { Directory } from './directory.ts';
import { Emitter } from './emitter.ts';
import { NetError } from './errors.ts';
import { Gossip } from './gossip.ts';
import { Greeter } from './greeter.ts';
import type { Identity } from './identity.ts';
import { usableAddresses } from './interfaces.ts';
import { Joining } from './joining.ts';
import type { Logger } from './logger.ts';
import { MdnsDiscovery } from './mdns/discovery.ts';
import type { Role } from './membership/records.ts';
import type { MembershipStore } from './membership-store.ts';
import type { MemberView, MeshNet, NetEvents, OwnRecord, ProtocolHandler, StrangerView } from './mesh-net.ts';
import { Moves } from './moves.ts';
import { RecordPublisher } from './own-record.ts';
import { openChannel } from './protocol-streams.ts';
import { readInterfaces } from './read-interfaces.ts';
import { RecordBook, signNodeRecord } from './record-book.ts';
import type { RememberedPeers } from './remembered-peers.ts';
import { Roster } from './roster.ts';
import { Sessions } from './sessions.ts';
import { Strangers } from './strangers.ts';
import { Surroundings, type SurroundingsChange } from './surroundings.ts';
import { Switchboard } from './switchboard.ts';

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
  readonly #switchboard: Switchboard;
  readonly #surroundings: Surroundings;
  readonly #strangers: Strangers;
  readonly #book = new RecordBook();
  readonly #directory: Directory;
  readonly #connections: Connections;
  readonly #sessions: Sessions;
  readonly #gossip: Gossip;
  readonly #greeter: Greeter;
  readonly #joining: Joining;
  readonly #dialer: Dialer;
  readonly #publisher: RecordPublisher;
  readonly #mdns: MdnsDiscovery | undefined;
  readonly #roster: Roster;
  readonly #moves: Moves;
  #renewing: Timer | undefined;

  private constructor(
    init: NetInit,
    parts: Parts,
    switchboard: Switchboard,
    strangers: Strangers,
    surroundings: Surroundings,
  ) {
    const { clock, logger, identity, membership, remembered } = parts;
    this.#init = init;
    this.#parts = parts;
    this.#switchboard = switchboard;
    this.#strangers = strangers;
    this.identity = identity;
    this.#surroundings = surroundings;
    this.events = new Emitter<NetEvents>((error, event) => {
      logger.error({ error, event }, 'A listener of the network failed.');
    });
    this.#sessions = new Sessions({
      self: identity.peerId,
      onUp: (peerId) => this.#up(peerId),
      onDown: (peerId, reason) => {
        this.#directory.saw(peerId);
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
      mergeMembership: (records, from) => this.#roster.merge(records, from),
      onRecord: (record) => this.#heardRecord(record),
    });
    this.#roster = new Roster({
      identity,
      name: init.name,
      membership,
      sessions: this.#sessions,
      gossip: this.#gossip,
      book: this.#book,
      remembered,
      clock,
      logger,
      onChange: () => this.events.emit('membership'),
      onMove: () => {
        this.#dialer.urge();
        this.#publisher.refresh();
        this.#mdns?.refresh();
        this.events.emit('membership');
      },
    });
    const incarnation = clock.now();
    this.#greeter = new Greeter({
      membership,
      clock,
      logger,
      introduce: () => ({
        name: this.self.name,
        agentVersion: init.agentVersion ?? '0.0.0',
        incarnation,
      }),
      isConnected: (peerId) => this.#sessions.primary(peerId) !== undefined,
      merge: (records) => this.#roster.merge(records),
      onSession: (session) => this.#connections.run(session),
    });
    const shared = { sessions: this.#sessions, membership, remembered, clock };
    this.#connections = new Connections({
      ...shared,
      self: identity.peerId,
      switchboard,
      greeter: this.#greeter,
      gossip: this.#gossip,
      logger,
    });
    this.#directory = new Directory({
      ...shared,
      self: identity.peerId,
      ownAddresses: () => this.#plainAddresses(),
      faultOf: (peerId) => this.#dialer.faultOf(peerId),
      book: this.#book,
      strangers,
    });
    this.#joining = new Joining({
      identity,
      membership,
      clock,
      logger,
      name: init.name,
      addresses: () => this.#plainAddresses(),
      isConnected: (peerId) => this.#sessions.primary(peerId) !== undefined,
      dial: (peerId, addresses, signal) => switchboard.dial(peerId, addresses, signal),
      hold: (peerId, addresses) => this.#dialer.hold(peerId, addresses),
      adopt: (records) => this.#roster.adopt(records),
      move: (state) => this.#roster.move(state),
      greet: (connection) => this.#connections.greet(connection),
    });
    this.#dialer = new Dialer({
      clock,
      logger,
      random: parts.random,
      isConnected: (peerId) => peerId === identity.peerId || this.#sessions.primary(peerId) !== undefined,
      isWanted: (peerId) => this.#directory.isWanted(peerId),
      connect: (peerId, addresses) => this.#connections.connect(peerId, addresses),
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
        clock,
        logger,
        random: parts.random,
        announcement: (network) => ({
          meshId: membership.meshId,
          addresses: reachableAddresses(switchboard.listening(), network),
        }),
        onPeer: (peer) => this.#discovered(peer.peerId, peer.addresses.filter(isPlainAddress), peer.meshId),
        onGoodbye: (peerId) => strangers.left(peerId),
      });
    }
    this.#moves = new Moves({
      sessions: this.#sessions,
      gossip: this.#gossip,
      dialer: this.#dialer,
      publisher: this.#publisher,
      mdns: this.#mdns,
      logger,
    });
  }

  /** @throws {NetError} `NET_BAD_ADDRESS` */
  static async create(init: NetInit, parts: Parts): Promise<Libp2pMeshNet> {
    const { identity, membership, clock, logger } = parts;
    const strangers = new Strangers(clock);
    const invitations = { isOpen: () => false };
    const moved = { tell: (_change: SurroundingsChange): void => undefined };
    const surroundings = new Surroundings({
      clock,
      look: () => usableAddresses(readInterfaces(), init.interfaces),
      onChange: (change) => moved.tell(change),
    });
    const switchboard = await Switchboard.create(
      {
        identity,
        listen: init.addresses ?? everywhere(init.listenPort ?? DEFAULT_PORT),
        order: (addresses) => orderForDialing(addresses, surroundings.addresses),
      },
      {
        isMember: (peerId) => membership.members().has(peerId),
        isInvitationOpen: () => invitations.isOpen(),
        strangers,
        clock,
        logger,
      },
    );
    const net = new Libp2pMeshNet(init, parts, switchboard, strangers, surroundings);
    moved.tell = (change) => net.#moves.took(change, surroundings.addresses);
    invitations.isOpen = () => net.#joining.isInvitationOpen();
    return net;
  }

  get self(): { peerId: string; name: string } {
    const { peerId } = this.identity;
    return { peerId, name: this.#parts.membership.members().get(peerId)?.name ?? this.#init.name };
  }

  get meshId(): string {
    return this.#parts.membership.meshId;
  }

  async start(): Promise<void> {
    const { remembered } = this.#parts;
    const switchboard = this.#switchboard;
    switchboard.serve(joinProtocol, (channel) => this.#joining.answer(channel), { open: true });
    await this.#connections.start();
    for (const peerId of remembered.peerIds()) {
      if (this.isMember(peerId)) this.#dialer.know(peerId, remembered.get(peerId)?.addresses ?? []);
    }
    this.#renewDaily();
    this.#gossip.start();
    this.#publisher.start();
    this.#dialer.start();
    this.#mdns?.update(this.#surroundings.addresses);
    this.#surroundings.start();
  }

  async stop(): Promise<void> {
    this.#renewing?.cancel();
    this.#surroundings.stop();
    this.#dialer.stop();
    this.#publisher.stop();
    this.#gossip.stop();
    await this.#mdns?.stop();
    this.#sessions.endAll('stopped');
    this.#gossip.stop();
    await this.#switchboard.stop();
    await Promise.all([this.#parts.remembered.save(), this.#parts.membership.save()]);
  }

  nameOf(peerId: string): string | undefined {
    return this.#parts.membership.members().get(peerId)?.name;
  }

  members(): MemberView[] {
    return this.#directory.members();
  }

  strangers(): StrangerView[] {
    return this.#directory.strangers();
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
    this.#switchboard.serve(protocol, async (channel, connection) => {
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
    await this.#roster.remove(peerId);
  }

  #up(peerId: string): void {
    this.#gossip.linksChanged();
    const known = this.#parts.remembered.get(peerId)?.addresses ?? this.#book.get(peerId)?.addresses ?? [];
    this.#dialer.know(peerId, known.filter(isPlainAddress));
    this.events.emit('member-up', peerId);
    this.#renew([peerId]);
  }

  #renewDaily(): void {
    this.#renewing = this.#parts.clock.after(RENEW_INTERVAL_MS, () => {
      this.#renew(this.connectedMembers());
      this.#renewDaily();
    });
  }

  #renew(peerIds: readonly string[]): void {
    const records = this.#joining.renewals(peerIds);
    if (records.length === 0) return;
    this.#roster.adopt(records).catch((error: unknown) => {
      this.#parts.logger.error({ error }, 'Renewed certificates could not be written.');
    });
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
    this.#directory.saw(peerId);
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

  #plainAddresses(): string[] {
    return addressesToTell(this.#switchboard.listening(), this.#surroundings.addresses);
  }
}

/** Multiaddrs for all addresses of all families this machine has. */
function everywhere(port: number): string[] {
  const hasIpv6 = readInterfaces().some(({ addresses }) => addresses.some(({ family }) => family === 6));
  return [`/ip4/0.0.0.0/tcp/${port}`, ...(hasIpv6 ? [`/ip6/::/tcp/${port}`] : [])];
}
