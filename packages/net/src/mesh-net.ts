import type { NodeRecord, ProtocolDefinition } from '@mesh/wire';
import type { Channel } from './channel.ts';
import type { Emitter } from './emitter.ts';
import type { Identity } from './identity.ts';
import type { Role } from './membership/records.ts';

/** A member of the mesh as this agent sees it. */
export interface MemberView {
  peerId: string;
  name: string;
  roles: Role[];
  /** This agent itself. */
  self: boolean;
  /** There is a connection, and the peer said hello on it. True for self. */
  connected: boolean;
  /** The newest record it gossiped, ever. */
  record?: NodeRecord;
  /** Wall-clock milliseconds: when it was last connected or last gossiped. */
  lastSeenMs?: number;
  /** Multiaddrs it was reached at or says it listens on. */
  addresses: string[];
  /** Of a member that is not connected: why not, as far as the last attempt to reach it tells. */
  fault?: string;
}

/** A peer seen on the LAN, or turned away at the door, that is no member. */
export interface StrangerView {
  peerId: string;
  addresses: string[];
  lastSeenMs: number;
  /** The mesh it says it belongs to. */
  meshId?: string;
}

/** Why a member is no longer connected. */
export type DownReason = 'closed' | 'silent' | 'restarted' | 'removed' | 'left' | 'stopped';

/** Events of {@link MeshNet}. */
export interface NetEvents {
  /** A member is connected, said hello, and can be talked to. */
  'member-up': [peerId: string];
  /** A member that was up no longer is. */
  'member-down': [peerId: string, reason: DownReason];
  /** A newer record of a member, possibly of this agent itself. */
  record: [record: NodeRecord];
  /** Somebody joined, was removed, changed role, or this agent moved to another mesh. */
  membership: [];
}

/** What an agent says about itself; the rest of its record the network fills in. */
export type OwnRecord = Omit<NodeRecord, 'version' | 'peerId' | 'sequence' | 'name' | 'addresses'>;

/** Answers one channel of a protocol. When it returns, the channel is ended; when it throws, the peer gets the error's code. */
export type ProtocolHandler<DialerMessage, ListenerMessage> = (
  channel: Channel<ListenerMessage, DialerMessage>,
  peerId: string,
) => Promise<void> | void;

/** The network as the rest of an agent sees it: members, their records, and typed channels to them. */
export interface MeshNet {
  readonly identity: Identity;
  readonly self: { readonly peerId: string; readonly name: string };
  /** The peer id of the mesh's founder, whose key names it. */
  readonly meshId: string;
  readonly events: Emitter<NetEvents>;

  /** @throws {NetError} `NET_LISTEN_FAILED` */
  start(): Promise<void>;
  stop(): Promise<void>;

  /** All members, self first, then by name. */
  members(): MemberView[];
  /** A member's name alone: cheap enough for every event of a build, where `members()` asks the system for addresses. */
  nameOf(peerId: string): string | undefined;
  strangers(): StrangerView[];
  isMember(peerId: string): boolean;
  rolesOf(peerId: string): readonly Role[];
  /** Members up at the moment, without self. */
  connectedMembers(): string[];
  /** Own addresses as multiaddrs with the peer id, fit for a ticket or `--peer`. */
  addresses(): string[];
  /** Address (host part) at which this agent reaches a connected member, for a side channel. */
  remoteHost(peerId: string): string | undefined;

  /** Says what this agent is and does. Gossiped at once when it changed (at most every 500 ms), else every 5 s. */
  publish(record: OwnRecord): void;

  /** Answers a protocol; only members get through. */
  handle<D, L>(protocol: ProtocolDefinition<D, L>, handler: ProtocolHandler<D, L>): void;
  /**
   * Opens a channel to a connected member.
   * @throws {NetError} `NET_NOT_CONNECTED`, `NET_NOT_A_MEMBER`
   */
  open<D, L>(
    peerId: string,
    protocol: ProtocolDefinition<D, L>,
    options?: { signal?: AbortSignal },
  ): Promise<Channel<D, L>>;

  /**
   * Opens a one-time invitation and returns its ticket.
   * @throws {NetError} `NET_NOT_ADMIN`
   */
  invite(options?: { ttlMs?: number; roles?: Role[] }): string;
  /**
   * Leaves the mesh this agent is in and joins the one of the ticket; one with other members only if `force` says so. With a ticket
   * of the mesh it is in, asks the inviter for its membership anew.
   * @throws {NetError} `NET_TICKET_GARBLED`, `NET_TICKET_EXPIRED`, `NET_JOIN_UNREACHABLE`, `NET_JOIN_REFUSED`, `NET_JOIN_HAS_MEMBERS`
   */
  join(
    ticket: string,
    options?: { force?: boolean; signal?: AbortSignal },
  ): Promise<{ meshId: string; inviter: string }>;
  /**
   * Removes a member for ever.
   * @throws {NetError} `NET_NOT_ADMIN`, `NET_UNKNOWN_MEMBER`
   */
  remove(peerId: string): Promise<void>;
}
