import { joinProtocol, type ProtocolDefinition } from '@mesh/wire';
import { hostOf, withPeerId } from './addresses.ts';
import { assembleNetwork, type Ground, type NetworkParts } from './assembly.ts';
import type { Channel } from './channel.ts';
import type { NetInit } from './create-net.ts';
import type { Emitter } from './emitter.ts';
import { NetError } from './errors.ts';
import type { Identity } from './identity.ts';
import type { Role } from './membership/records.ts';
import type { MemberView, MeshNet, NetEvents, OwnRecord, ProtocolHandler, StrangerView } from './mesh-net.ts';
import { openChannel } from './protocol-streams.ts';

/** {@link MeshNet} over libp2p: what the rest of an agent asks, answered by the parts of the network. */
export class Libp2pMeshNet implements MeshNet {
  readonly identity: Identity;
  readonly events: Emitter<NetEvents>;
  readonly #ground: Ground;
  readonly #parts: NetworkParts;

  private constructor(ground: Ground, parts: NetworkParts) {
    this.identity = ground.identity;
    this.events = parts.events;
    this.#ground = ground;
    this.#parts = parts;
  }

  /** @throws {NetError} `NET_BAD_ADDRESS` */
  static async create(init: NetInit, ground: Ground): Promise<Libp2pMeshNet> {
    return new Libp2pMeshNet(ground, await assembleNetwork(init, ground));
  }

  get self(): { peerId: string; name: string } {
    return this.#parts.self();
  }

  get meshId(): string {
    return this.#ground.membership.meshId;
  }

  async start(): Promise<void> {
    const { remembered } = this.#ground;
    const { switchboard, joining, connections, dialer, renewals, gossip, publisher, mdns, surroundings } =
      this.#parts;
    switchboard.serve(joinProtocol, (channel) => joining.answer(channel), { open: true });
    await connections.start();
    for (const peerId of remembered.peerIds()) {
      if (this.isMember(peerId)) dialer.know(peerId, remembered.get(peerId)?.addresses ?? []);
    }
    renewals.start();
    gossip.start();
    publisher.start();
    dialer.start();
    mdns?.update(surroundings.addresses);
    surroundings.start();
  }

  async stop(): Promise<void> {
    const { renewals, surroundings, dialer, publisher, gossip, mdns, sessions, switchboard } = this.#parts;
    renewals.stop();
    surroundings.stop();
    dialer.stop();
    publisher.stop();
    gossip.stop();
    await mdns?.stop();
    sessions.endAll('stopped');
    gossip.stop();
    await switchboard.stop();
    await Promise.all([this.#ground.remembered.save(), this.#ground.membership.save()]);
  }

  nameOf(peerId: string): string | undefined {
    return this.#ground.membership.members().get(peerId)?.name;
  }

  members(): MemberView[] {
    return this.#parts.directory.members();
  }

  strangers(): StrangerView[] {
    return this.#parts.directory.strangers();
  }

  isMember(peerId: string): boolean {
    return this.#ground.membership.members().has(peerId);
  }

  rolesOf(peerId: string): readonly Role[] {
    return this.#ground.membership.rolesOf(peerId);
  }

  connectedMembers(): string[] {
    return this.#parts.sessions.connected();
  }

  addresses(): string[] {
    return this.#parts.ownAddresses().map((address) => withPeerId(address, this.identity.peerId));
  }

  remoteHost(peerId: string): string | undefined {
    const session = this.#parts.sessions.primary(peerId);
    return session === undefined ? undefined : hostOf(session.connection.remoteAddr.toString());
  }

  publish(record: OwnRecord): void {
    this.#parts.publisher.publish(record);
  }

  handle<D, L>(protocol: ProtocolDefinition<D, L>, handler: ProtocolHandler<D, L>): void {
    const { switchboard, sessions } = this.#parts;
    switchboard.serve(protocol, async (channel, connection) => {
      const peerId = connection.remotePeer.toString();
      await sessions.whenUp(peerId);
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
    const session = this.#parts.sessions.primary(peerId);
    if (session === undefined) {
      const message = `Member ${this.nameOf(peerId)} is not connected; it is dialled until it is.`;
      throw new NetError('NET_NOT_CONNECTED', message);
    }
    return openChannel(session.connection, protocol, this.#ground.logger, options);
  }

  invite(options: { ttlMs?: number; roles?: Role[] } = {}): string {
    return this.#parts.joining.invite(options);
  }

  join(
    ticket: string,
    options: { force?: boolean; signal?: AbortSignal } = {},
  ): Promise<{ meshId: string; inviter: string }> {
    return this.#parts.joining.join(ticket, options);
  }

  async remove(peerId: string): Promise<void> {
    this.#parts.joining.requireAdmin('remove members');
    await this.#parts.roster.remove(peerId);
  }
}
