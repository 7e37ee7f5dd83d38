import type { Connection } from '@libp2p/interface';
import { peerIdIn, withoutPeerId } from './addresses.ts';
import type { Clock, Timer } from './clock.ts';
import { MAX_ADDRESSES_PER_PEER, REDIAL_FIRST_MS, REDIAL_LAST_MS } from './constants.ts';
import { codeOf } from './errors.ts';
import type { Logger } from './logger.ts';

/** What dialling needs. */
export interface DialerComponents {
  clock: Clock;
  logger: Logger;
  /** 0 to 1, for pauses that differ. */
  random: () => number;
  isConnected: (peerId: string) => boolean;
  /** Whether a peer is still worth dialling: a member, or one that says it is of our mesh. */
  isWanted: (peerId: string) => boolean;
  /** Dials and says hello; resolves when the session stands. `peerId` is undefined where only an address is known. */
  connect: (peerId: string | undefined, addresses: string[]) => Promise<Connection>;
}

interface Target {
  peerId: string | undefined;
  /** Who answered at an address the user gave without a peer id. It may be somebody else's tomorrow. */
  metAs: string | undefined;
  /** Without peer id, newest first. */
  addresses: string[];
  /** Given by the user: never forgotten. */
  manual: boolean;
  failures: number;
  /** Why the last attempt failed. */
  fault: string | undefined;
  /** Monotonic milliseconds. */
  nextAttempt: number;
  /** The attempt under way. */
  dialing: Promise<void> | undefined;
}

/** Keeps this agent connected to everybody it should be: dials again and again, with growing pauses, from one timer. */
export class Dialer {
  readonly #components: DialerComponents;
  /** By peer id, or by address while that is all we have. */
  readonly #targets = new Map<string, Target>();
  /** Peer ids and addresses that somebody else is dialling, one set for each. */
  readonly #held = new Set<ReadonlySet<string>>();
  #timer: Timer | undefined;
  #running = false;

  constructor(components: DialerComponents) {
    this.#components = components;
  }

  start(): void {
    this.#running = true;
    this.#schedule();
  }

  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** An address the user gave, with or without a peer id: dialled for as long as the agent runs. */
  addManual(address: string): void {
    const peerId = peerIdIn(address);
    this.#add(peerId ?? withoutPeerId(address), peerId, [withoutPeerId(address)]).manual = true;
    this.#schedule();
  }

  /** A peer that may be reached at these addresses. */
  know(peerId: string, addresses: readonly string[]): void {
    this.#add(peerId, peerId, addresses);
    this.#schedule();
  }

  /** Why a peer cannot be reached: what the last attempt ran into. */
  faultOf(peerId: string): string | undefined {
    return this.#targets.get(peerId)?.fault;
  }

  /** There is a reason to try now: it was just seen, or just lost. Without a peer: everybody. `delayMs` from now at the earliest. */
  urge(peerId?: string, delayMs = 0): void {
    const at = this.#components.clock.monotonic() + delayMs;
    for (const target of this.#targets.values()) {
      if (peerId !== undefined && target.peerId !== peerId && target.metAs !== peerId) continue;
      target.failures = 0;
      target.nextAttempt = Math.min(target.nextAttempt, at);
    }
    this.#schedule();
  }

  /**
   * Leaves a peer to the caller until disposed of; resolves when no attempt to reach it is under way. libp2p gives two who dial the same
   * peer at once the same connection, and what one says on it would be the end of it for the other.
   */
  async hold(peerId: string, addresses: readonly string[]): Promise<Disposable> {
    const held = new Set([peerId, ...addresses]);
    this.#held.add(held);
    await Promise.all([...this.#targets.values()].map((target) => this.#isHeld(target) && target.dialing));
    return {
      [Symbol.dispose]: () => {
        this.#held.delete(held);
        this.#schedule();
      },
    };
  }

  #isHeld({ peerId, metAs, addresses }: Target): boolean {
    const names = [peerId, metAs, ...addresses].filter((name) => name !== undefined);
    return [...this.#held].some((held) => names.some((name) => held.has(name)));
  }

  #add(key: string, peerId: string | undefined, addresses: readonly string[]): Target {
    const known = this.#targets.get(key);
    const target: Target = known ?? {
      peerId,
      metAs: undefined,
      addresses: [],
      manual: false,
      failures: 0,
      fault: undefined,
      nextAttempt: this.#components.clock.monotonic(),
      dialing: undefined,
    };
    target.addresses = [...new Set([...addresses, ...target.addresses])].slice(0, MAX_ADDRESSES_PER_PEER);
    this.#targets.set(key, target);
    return target;
  }

  #schedule(): void {
    if (!this.#running) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#components;
    const waiting = [...this.#targets.values()].filter((target) => this.#isDue(target));
    if (waiting.length === 0) return;
    const next = Math.min(...waiting.map(({ nextAttempt }) => nextAttempt));
    this.#timer = clock.after(Math.max(0, next - clock.monotonic()), () => this.#dialDue());
  }

  #isDue(target: Target): boolean {
    const { dialing, addresses } = target;
    const peerId = target.peerId ?? target.metAs;
    if (dialing !== undefined || addresses.length === 0 || this.#isHeld(target)) return false;
    return peerId === undefined || !this.#components.isConnected(peerId);
  }

  #dialDue(): void {
    const now = this.#components.clock.monotonic();
    for (const [key, target] of this.#targets) {
      if (!this.#isDue(target) || target.nextAttempt > now) continue;
      if (!target.manual && target.peerId !== undefined && !this.#components.isWanted(target.peerId)) {
        this.#targets.delete(key);
        continue;
      }
      target.dialing = this.#dial(target).finally(() => {
        target.dialing = undefined;
        this.#schedule();
      });
    }
    this.#schedule();
  }

  async #dial(target: Target): Promise<void> {
    const { clock, connect, logger, random } = this.#components;
    const { peerId, addresses } = target;
    try {
      const connection = await connect(peerId, addresses);
      // While that one is connected, the address needs no dialling.
      target.metAs = connection.remotePeer.toString();
      target.failures = 0;
      target.fault = undefined;
      target.nextAttempt = clock.monotonic() + REDIAL_FIRST_MS;
    } catch (error) {
      target.failures++;
      const pause = Math.min(REDIAL_LAST_MS, REDIAL_FIRST_MS * 2 ** Math.min(target.failures - 1, 16));
      target.nextAttempt = clock.monotonic() + pause * (0.75 + random() / 2);
      const level = target.manual && target.failures === 1 ? 'warn' : 'debug';
      const reason = error instanceof Error ? error.message : String(error);
      target.fault = reason;
      logger[level](
        { peerId, addresses, code: codeOf(error), reason },
        'A peer could not be reached; it is tried again.',
      );
    }
  }
}
