import { DIAL_TIMEOUT_MS, HELLO_TIMEOUT_MS, STALE_CONNECTION_MS } from './constants.ts';
import { NetError } from './errors.ts';
import type { DownReason } from './mesh-net.ts';
import type { Session } from './session.ts';

/** Told of members coming and going. */
export interface SessionsInit {
  self: string;
  onUp: (peerId: string) => void;
  onDown: (peerId: string, reason: DownReason) => void;
}

/**
 * The sessions of each member. Two agents that dial each other at once get two connections; both serve until it is plain which one
 * stays: the one dialled by the smaller peer id, by the rule both sides know. A member is up as long as it has any.
 */
export class Sessions {
  readonly #init: SessionsInit;
  /** Per peer, the one to use first. */
  readonly #byPeer = new Map<string, Session[]>();
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(init: SessionsInit) {
    this.#init = init;
  }

  /** A new session; ends those it replaces. `now` in monotonic milliseconds. */
  add(session: Session, now: number): void {
    const { peerId } = session;
    const existing = this.#byPeer.get(peerId) ?? [];
    const restarted = existing.some(({ hello }) => hello.incarnation !== session.hello.incarnation);
    for (const old of [...existing]) {
      // A peer that dials anew and was not heard of lately has lost the old connection: we are the last to notice. So it is where it
      // says that it has no other and has not dialled while we did.
      const lost = session.hello.only === true && now - old.since >= DIAL_TIMEOUT_MS;
      if (!restarted && !lost && now - old.lastHeard < STALE_CONNECTION_MS) continue;
      if (restarted) this.end(old, 'restarted');
      else this.#dropQuietly(old);
    }
    const sessions = [...(this.#byPeer.get(peerId) ?? []), session];
    sessions.sort((a, b) => Number(this.#isPreferred(b)) - Number(this.#isPreferred(a)));
    const wasUp = existing.length > 0 && !restarted;
    this.#byPeer.set(peerId, sessions);
    if (!wasUp) this.#init.onUp(peerId);
    for (const wake of this.#waiting.get(peerId) ?? []) wake();
  }

  /** Ends a session, and with a member's last one, its being up. */
  end(session: Session, reason: DownReason): void {
    const sessions = this.#byPeer.get(session.peerId) ?? [];
    if (!sessions.includes(session)) return;
    this.#dropQuietly(session);
    if (!this.#byPeer.has(session.peerId)) this.#init.onDown(session.peerId, reason);
  }

  endAllOf(peerId: string, reason: DownReason): void {
    for (const session of [...(this.#byPeer.get(peerId) ?? [])]) this.end(session, reason);
  }

  endAll(reason: DownReason): void {
    for (const peerId of [...this.#byPeer.keys()]) this.endAllOf(peerId, reason);
  }

  /** The session to use for a member. */
  primary(peerId: string): Session | undefined {
    return this.#byPeer.get(peerId)?.[0];
  }

  primaries(): Session[] {
    return [...this.#byPeer.values()].map(([first]) => first!);
  }

  all(): Session[] {
    return [...this.#byPeer.values()].flat();
  }

  connected(): string[] {
    return [...this.#byPeer.keys()];
  }

  /** Sessions that another one replaced a while ago, so that the peer knows it too, and that nobody uses any more. */
  spare(now: number): Session[] {
    return [...this.#byPeer.values()].flatMap(([first, ...others]) =>
      first !== undefined && now - first.since >= STALE_CONNECTION_MS
        ? others.filter((other) => other.isIdle())
        : [],
    );
  }

  /**
   * Resolves when the member is up.
   * @throws {NetError} `NET_NOT_CONNECTED` after as long as a hello may take
   */
  async whenUp(peerId: string): Promise<void> {
    if (this.#byPeer.has(peerId)) return;
    const waiting = this.#waiting.get(peerId) ?? new Set();
    this.#waiting.set(peerId, waiting);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(
      () =>
        reject(
          new NetError('NET_NOT_CONNECTED', `Peer ${peerId} did not say hello; it will be dialled again.`),
        ),
      HELLO_TIMEOUT_MS,
    );
    waiting.add(resolve);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(peerId);
    }
  }

  #dropQuietly(session: Session): void {
    const rest = (this.#byPeer.get(session.peerId) ?? []).filter((other) => other !== session);
    if (rest.length === 0) this.#byPeer.delete(session.peerId);
    else this.#byPeer.set(session.peerId, rest);
    session.abort(new NetError('NET_CLOSED', 'The connection was closed.'));
  }

  #isPreferred({ connection, peerId }: Session): boolean {
    return (connection.direction === 'outbound') === this.#init.self < peerId;
  }
}
