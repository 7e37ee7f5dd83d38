import type { Clock } from './clock.ts';
import type { Member } from './membership/membership.ts';
import type { MembershipStore } from './membership-store.ts';
import type { MemberView, StrangerView } from './mesh-net.ts';
import type { RecordBook } from './record-book.ts';
import type { RememberedPeers } from './remembered-peers.ts';
import type { Sessions } from './sessions.ts';
import type { Strangers } from './strangers.ts';

/** Where the directory looks. */
export interface DirectoryComponents {
  self: string;
  ownAddresses: () => string[];
  /** Why a peer cannot be reached. */
  faultOf: (peerId: string) => string | undefined;
  membership: MembershipStore;
  sessions: Sessions;
  book: RecordBook;
  remembered: RememberedPeers;
  strangers: Strangers;
  clock: Clock;
}

/** Everybody this agent knows of, for people and for the rest of the agent. */
export class Directory {
  readonly #components: DirectoryComponents;
  readonly #lastSeen = new Map<string, number>();

  constructor(components: DirectoryComponents) {
    this.#components = components;
  }

  /** A sign of life, direct or not. */
  saw(peerId: string): void {
    this.#lastSeen.set(peerId, this.#components.clock.now());
  }

  /** All members, self first, then by name. */
  members(): MemberView[] {
    const views = [...this.#components.membership.members().values()].map((member) => this.#view(member));
    return views.sort((a, b) => Number(b.self) - Number(a.self) || a.name.localeCompare(b.name));
  }

  strangers(): StrangerView[] {
    const { membership, strangers, self } = this.#components;
    const members = membership.members();
    return strangers.list().filter(({ peerId }) => !members.has(peerId) && peerId !== self);
  }

  /** Whether a peer is worth dialling: a member, or one we lately saw say that it is of our mesh. */
  isWanted(peerId: string): boolean {
    const { membership, strangers } = this.#components;
    const { meshId } = membership;
    if (membership.members().has(peerId)) return true;
    return strangers.list().some((stranger) => stranger.peerId === peerId && stranger.meshId === meshId);
  }

  #view({ peerId, name, roles }: Member): MemberView {
    const { self: own, sessions, book, remembered, clock, ownAddresses } = this.#components;
    const self = peerId === own;
    const connected = self || sessions.primary(peerId) !== undefined;
    const record = book.get(peerId);
    const known = remembered.get(peerId);
    const lastSeenMs = connected ? clock.now() : (this.#lastSeen.get(peerId) ?? known?.lastSeenMs);
    const fault = connected ? undefined : this.#components.faultOf(peerId);
    const addresses = self
      ? ownAddresses()
      : [...new Set([...(record?.addresses ?? []), ...(known?.addresses ?? [])])];
    return {
      ...{ peerId, name, roles: [...roles], self, connected, addresses },
      ...(record === undefined ? {} : { record }),
      ...(lastSeenMs === undefined ? {} : { lastSeenMs }),
      ...(fault === undefined ? {} : { fault }),
    };
  }
}
