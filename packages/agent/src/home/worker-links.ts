import type { Clock, Logger, MeshNet } from '@mesh/net';
import { type HomeMessage, type WorkerMessage, workProtocol } from '@mesh/wire';
import { LEAVE_TIMEOUT_MS } from '../constants.ts';
import type { WorkChannel } from '../memory-channel.ts';

export interface WorkerLinksComponents {
  net: MeshNet;
  clock: Clock;
  logger: Logger;
  onMessage(peerId: string, message: WorkerMessage): void;
  /** The worker can be told nothing any more, and says nothing. */
  onGone(peerId: string): void;
}

type Link = WorkChannel<HomeMessage, WorkerMessage>;

/** A home's streams to workers: one to each member that builds, opened when there is work, and one to its own. */
export class WorkerLinks {
  readonly #components: WorkerLinksComponents;
  readonly #links = new Map<string, Link>();
  readonly #opening = new Set<string>();
  /** Open, but nothing was said on it yet. */
  readonly #silent = new Set<string>();

  constructor(components: WorkerLinksComponents) {
    this.#components = components;
  }

  /** Opens streams to all connected members that have none. */
  callAll(): void {
    for (const peerId of this.#components.net.connectedMembers()) void this.call(peerId);
  }

  /** Opens the stream to a member, unless there is one, it does not build, or this machine may not submit. */
  async call(peerId: string): Promise<void> {
    const { net, logger } = this.#components;
    if (this.#links.has(peerId) || this.#opening.has(peerId)) return;
    if (!net.rolesOf(peerId).includes('build') || !net.rolesOf(net.self.peerId).includes('submit')) return;
    this.#opening.add(peerId);
    try {
      this.attach(peerId, await net.open(peerId, workProtocol));
    } catch (error) {
      logger.info({ err: error, peerId }, 'a member takes no work at the moment');
    } finally {
      this.#opening.delete(peerId);
    }
  }

  /** Members that were called and have said nothing yet. */
  pending(): ReadonlySet<string> {
    return new Set([...this.#opening, ...this.#silent]);
  }

  attach(peerId: string, link: Link): void {
    this.#links.set(peerId, link);
    this.#silent.add(peerId);
    void this.#listen(peerId, link);
  }

  /** The member is gone; its stream need not have noticed. */
  drop(peerId: string): void {
    if (!this.#links.delete(peerId)) return;
    this.#silent.delete(peerId);
    this.#components.onGone(peerId);
  }

  send(peerId: string, message: HomeMessage): void {
    this.#links
      .get(peerId)
      ?.send(message)
      .catch((error: unknown) => {
        // The stream's end requeues whatever this worker had.
        this.#components.logger.debug({ err: error, peerId }, 'a message to a worker was not sent');
      });
  }

  /** Ends all streams. What was said before, that leases are cancelled above all, has arrived when this resolves. */
  async leave(): Promise<void> {
    const leaving = [...this.#links.values()].map(async (link) => {
      // A stream that is gone already needs no farewell.
      await link.end().catch(() => undefined);
      await link.closed;
    });
    const late = Promise.withResolvers<void>();
    const timer = this.#components.clock.after(LEAVE_TIMEOUT_MS, late.resolve);
    await Promise.race([Promise.all(leaving), late.promise]);
    timer.cancel();
  }

  async #listen(peerId: string, link: Link): Promise<void> {
    try {
      for await (const message of link) {
        this.#silent.delete(peerId);
        this.#components.onMessage(peerId, message);
      }
    } catch (error) {
      this.#components.logger.info({ err: error, peerId }, 'the work stream of a member broke');
    }
    if (this.#links.get(peerId) === link) this.drop(peerId);
  }
}
