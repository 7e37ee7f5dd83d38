import type { Clock, Logger } from '@mesh/net';
import type { Holders } from './holders.ts';
import { keptAlive } from './keep-alive.ts';

/** What standing between two machines needs. */
export interface GoBetweenComponents {
  /** The home's own peer id. */
  self: string;
  holders: Holders;
  clock: Clock;
  logger: Logger;
  isConnected(peerId: string): boolean;
  /** Brings paths and what they refer to into this machine's store. */
  fetch(inputs: readonly { path: string; holders: readonly string[] }[]): Promise<unknown>;
}

/**
 * Brings home what one worker made and another cannot get from it, as when both reach this machine and not each other (subnets, NAT,
 * firewalls): from here the other can have it.
 */
export class GoBetween {
  readonly #components: GoBetweenComponents;
  /** Paths that come, came or did not, for the jobs under way: a second time would help nobody. */
  readonly #tried = new Map<string, { isOver: boolean; outcome: Promise<boolean> }>();

  constructor(components: GoBetweenComponents) {
    this.#components = components;
  }

  /** No job is under way. */
  clear(): void {
    this.#tried.clear();
  }

  /** Whether all of these paths, which `peerId` could not get, are with members that this machine is connected with. */
  canHelp(peerId: string, paths: readonly string[]): boolean {
    const { self, holders, isConnected } = this.#components;
    return (
      paths.length > 0 &&
      peerId !== self &&
      paths.every((path) => {
        const known = holders.of(path);
        const others = known.filter((holder) => holder !== peerId && isConnected(holder));
        return others.length > 0 && (!known.includes(self) || this.#tried.has(path));
      })
    );
  }

  /** Brings the paths home, calling `keepAlive` meanwhile; resolves to whether all are here now and were not when it was called. */
  bring(paths: readonly string[], keepAlive: () => void): Promise<boolean> {
    return keptAlive(this.#components.clock, keepAlive, async () => {
      const fresh = paths.filter((path) => !this.#tried.has(path));
      if (fresh.length > 0) {
        const attempt = { isOver: false, outcome: this.#fetch(fresh) };
        for (const path of fresh) this.#tried.set(path, attempt);
        void attempt.outcome.then(() => {
          attempt.isOver = true;
        });
      }
      const attempts = paths.flatMap((path) => this.#tried.get(path) ?? []);
      const isNews = attempts.some(({ isOver }) => !isOver);
      const outcomes = await Promise.all(attempts.map(({ outcome }) => outcome));
      return isNews && outcomes.every(Boolean);
    });
  }

  async #fetch(paths: readonly string[]): Promise<boolean> {
    const { self, holders, fetch, logger } = this.#components;
    try {
      await fetch(paths.map((path) => ({ path, holders: holders.of(path) })));
    } catch (error) {
      logger.info(
        { err: error, paths },
        'what one machine could not get from another could not be had here either',
      );
      return false;
    }
    for (const path of paths) holders.add(path, self);
    return true;
  }
}
