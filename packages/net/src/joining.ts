import { randomBytes } from 'node:crypto';
import type { Connection } from '@libp2p/interface';
import { JOIN_TOKEN_BYTES, type JoinAnswer, type JoinRequest, joinProtocol } from '@mesh/wire';
import type { Channel } from './channel.ts';
import type { Clock } from './clock.ts';
import {
  CERTIFICATE_TTL_MS,
  DEFAULT_INVITATION_TTL_MS,
  JOIN_TIMEOUT_MS,
  MAX_INVITATION_TTL_MS,
  RENEW_BEFORE_MS,
} from './constants.ts';
import { NetError, RemoteError } from './errors.ts';
import type { Identity } from './identity.ts';
import type { Logger } from './logger.ts';
import {
  hasOpenInvitation,
  type InvitationState,
  noInvitations,
  openInvitation,
  redeem,
} from './membership/invitations.ts';
import {
  emptyMembership,
  type MembershipState,
  membersOf,
  mergeRecords,
  recordsOf,
} from './membership/membership.ts';
import { type Role, signRecord } from './membership/records.ts';
import { decodeTicket, encodeTicket, type Ticket } from './membership/ticket.ts';
import type { MembershipStore } from './membership-store.ts';
import { openChannel } from './protocol-streams.ts';

/** What inviting and joining need. */
export interface JoiningComponents {
  identity: Identity;
  membership: MembershipStore;
  clock: Clock;
  logger: Logger;
  /** Own addresses, without peer id. */
  addresses: () => string[];
  /** What this machine wants to be called. */
  name: string;
  isConnected: (peerId: string) => boolean;
  /** Dials exactly this peer, member or not. */
  dial: (peerId: string, addresses: string[], signal: AbortSignal) => Promise<Connection>;
  /** New records of the mesh we are in: keep, spread, tell. */
  adopt: (records: JoinAnswer['membership']) => Promise<void>;
  /** Keeps everybody else from dialling the inviter meanwhile. */
  hold: (peerId: string, addresses: string[]) => Promise<Disposable>;
  /** Leave the mesh we are in for another. */
  move: (state: MembershipState) => Promise<void>;
  /** Makes a connection to a member, old or new, a session. */
  greet: (connection: Connection) => Promise<void>;
}

const REFUSALS = {
  unknown:
    'The ticket was not made by this machine, or it was restarted since: ask for a new one with `mesh invite`.',
  used: 'The ticket has been used already: ask for a new one with `mesh invite`.',
  expired: 'The ticket has expired: ask for a new one with `mesh invite`.',
  'too-many-attempts': 'There were too many wrong tickets: wait a minute and try again.',
};

/** Both sides of joining: tickets and certificates. */
export class Joining {
  readonly #components: JoiningComponents;
  #invitations: InvitationState = noInvitations();

  constructor(components: JoiningComponents) {
    this.#components = components;
  }

  isInvitationOpen(): boolean {
    return hasOpenInvitation(this.#invitations, this.#components.clock.now());
  }

  /** @throws {NetError} `NET_NOT_ADMIN` */
  invite({ ttlMs = DEFAULT_INVITATION_TTL_MS, roles = ['build', 'submit'] as Role[] } = {}): string {
    const { identity, membership, clock, addresses } = this.#components;
    this.requireAdmin('invite');
    const now = clock.now();
    const expiresAt = now + Math.min(Math.max(ttlMs, 1), MAX_INVITATION_TTL_MS);
    const token = new Uint8Array(randomBytes(JOIN_TOKEN_BYTES));
    this.#invitations = openInvitation(this.#invitations, { token, expiresAt, roles }, now);
    return encodeTicket({
      meshId: membership.meshId,
      inviter: identity.peerId,
      addresses: addresses(),
      token,
      expiresAt,
    });
  }

  /** @throws {NetError} `NET_NOT_ADMIN` */
  requireAdmin(what: string): void {
    const { identity, membership } = this.#components;
    if (membership.rolesOf(identity.peerId).includes('admin')) return;
    throw new NetError(
      'NET_NOT_ADMIN',
      `This machine may not ${what}, as it has no admin role in the mesh: do it on a machine that has (\`mesh peers --json\` lists roles).`,
    );
  }

  /** Certificates for those of the members that this admin should renew: same name, same roles, another year. */
  renewals(peerIds: readonly string[]): ReturnType<typeof signRecord>[] {
    const { identity, membership, clock } = this.#components;
    if (!membership.rolesOf(identity.peerId).includes('admin')) return [];
    return peerIds.flatMap((peerId) => {
      const member = membership.members().get(peerId);
      if (member === undefined || member.expiresAt - clock.now() > RENEW_BEFORE_MS) return [];
      return [this.#certify(peerId, member.name, member.roles)];
    });
  }

  /** Answers a stranger that shows a token. */
  async answer(channel: Channel<JoinAnswer, JoinRequest>): Promise<void> {
    const { membership, clock, logger, adopt } = this.#components;
    const request = await channel.receive();
    if (request === undefined) throw refused('The joining machine said nothing.');
    const { peerId } = channel;
    if (membership.isRemoved(peerId)) {
      throw refused(
        'This machine was removed from the mesh for ever: delete identity.json in its state directory to come back as a new one.',
      );
    }
    const { state, result } = redeem(this.#invitations, request.token, peerId, clock.now());
    this.#invitations = state;
    if (!result.ok) {
      logger.warn({ peerId, reason: result.reason }, 'A stranger showed a ticket that is not valid.');
      throw refused(REFUSALS[result.reason]);
    }
    this.requireAdmin('invite');
    if (!membership.members().has(peerId))
      await adopt([this.#certify(peerId, this.#freeName(request.name), result.roles)]);
    await channel.send({ version: 1, membership: membership.records() });
  }

  /** Joins the mesh of a ticket; see `MeshNet.join`. */
  async join(
    text: string,
    options: { force?: boolean; signal?: AbortSignal } = {},
  ): Promise<{ meshId: string; inviter: string }> {
    const { identity, membership, isConnected, hold, move, adopt, greet, logger } = this.#components;
    const ticket = decodeTicket(text);
    const { meshId, inviter } = ticket;
    if (inviter === identity.peerId) {
      throw refused('This machine made the ticket itself: run `mesh join` on the machine that is to join.');
    }
    // Connected, so a member beyond doubt. Otherwise the inviter has to say: this machine may have been removed while it was away.
    const rejoins = meshId === membership.meshId;
    if (rejoins && isConnected(inviter)) return { meshId, inviter };
    const others = membership.members().size - 1;
    if (!rejoins && others > 0 && options.force !== true) {
      throw new NetError(
        'NET_JOIN_HAS_MEMBERS',
        `This machine is in a mesh with ${others} other member${others === 1 ? '' : 's'}: join with --force to leave that one.`,
      );
    }
    const timeout = AbortSignal.timeout(JOIN_TIMEOUT_MS);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
    using _ = await hold(inviter, ticket.addresses);
    const connection = await this.#reach(ticket, signal);
    try {
      const state = await this.#redeem(connection, ticket, signal);
      await (rejoins ? adopt(recordsOf(state)) : move(state));
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
    await greet(connection).catch((error: unknown) => {
      // We are a member whatever becomes of this connection; the inviter will be dialled again.
      logger.warn({ error }, 'The mesh was joined, but the inviter is not connected yet.');
    });
    return { meshId, inviter };
  }

  async #reach(ticket: Ticket, signal: AbortSignal): Promise<Connection> {
    try {
      return await this.#components.dial(ticket.inviter, ticket.addresses, signal);
    } catch (error) {
      this.#throwIfExpired(ticket);
      throw new NetError(
        'NET_JOIN_UNREACHABLE',
        `The inviting machine cannot be reached at ${ticket.addresses.join(' or ') || 'any address'}: check that its agent runs and that the network lets these machines talk.`,
        { cause: error },
      );
    }
  }

  async #redeem(connection: Connection, ticket: Ticket, signal: AbortSignal): Promise<MembershipState> {
    const { logger, name, identity, clock } = this.#components;
    let answer: JoinAnswer | undefined;
    try {
      const channel = await openChannel(connection, joinProtocol, logger, { signal });
      const giveUp = () => channel.abort(new NetError('NET_CLOSED', 'Joining took too long.'));
      signal.addEventListener('abort', giveUp);
      void channel.closed.then(() => signal.removeEventListener('abort', giveUp));
      await channel.send({ version: 1, token: ticket.token, name });
      await channel.end();
      answer = await channel.receive();
    } catch (error) {
      if (error instanceof RemoteError) throw refused(error.message, error);
      this.#throwIfExpired(ticket);
      throw refused(
        'The inviting machine closed the connection: the ticket may have expired, been used, or been made before a restart; ask for a new one with `mesh invite`.',
        error,
      );
    }
    const { state } = mergeRecords(emptyMembership(ticket.meshId), answer?.membership ?? []);
    const members = membersOf(state, clock.now());
    if (members.has(identity.peerId) && members.has(ticket.inviter)) return state;
    throw refused(
      'The inviting machine sent no certificate that is valid here: compare the clocks of both machines and try again.',
    );
  }

  #throwIfExpired({ expiresAt }: Ticket): void {
    if (expiresAt <= this.#components.clock.now()) throw new NetError('NET_TICKET_EXPIRED', REFUSALS.expired);
  }

  #certify(peerId: string, name: string, roles: readonly Role[]): ReturnType<typeof signRecord> {
    const { identity, membership, clock } = this.#components;
    const issuedAt = clock.now();
    const expiresAt = issuedAt + CERTIFICATE_TTL_MS;
    return signRecord(
      {
        type: 'certificate',
        version: 1,
        meshId: membership.meshId,
        peerId,
        name,
        roles: [...roles],
        issuedAt,
        expiresAt,
        issuer: identity.peerId,
      },
      identity,
    );
  }

  /** `--on` and `--not` go by name, so no two members should share one. */
  #freeName(wanted: string): string {
    const taken = new Set([...this.#components.membership.members().values()].map(({ name }) => name));
    let name = wanted;
    for (let i = 2; taken.has(name); i++) name = `${wanted.slice(0, 58)}-${i}`;
    return name;
  }
}

function refused(message: string, cause?: unknown): NetError {
  return new NetError('NET_JOIN_REFUSED', message, { cause });
}
