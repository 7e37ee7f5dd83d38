import type { Clock, Logger, Timer } from '@mesh/net';
import { KEEP_DELAY_MS } from '../constants.ts';
import type { KeptResults } from './kept-results.ts';
import type { OutputRoots } from './output-roots.ts';

export interface OutputKeeperComponents {
  /** Peer id of this agent's own home: whether its results stay is for this machine's user to say. */
  self: string;
  clock: Clock;
  logger: Logger;
  roots: Pick<OutputRoots, 'keep'>;
  /** Where results for other homes stay when those are done with them. */
  kept: Pick<KeptResults, 'keep' | 'used'>;
  /** Tells members that these paths are here. */
  announce(paths: readonly string[]): void;
  /** Signs paths built here with this machine's key. */
  signOutputs(paths: string[]): Promise<void>;
}

/**
 * Roots, signs and keeps what was built, some time after: nobody waits for it, because a build's own connection roots its outputs for longer
 * and a path that is asked for sooner is signed as it is served. In company, because every signature is a write to Nix's database
 * that the next build's registration would have to wait for.
 */
export class OutputKeeper {
  readonly #components: OutputKeeperComponents;
  readonly #waiting = new Map<string, string[]>();
  #timer: Timer | undefined;

  constructor(components: OutputKeeperComponents) {
    this.#components = components;
  }

  keep(home: string, paths: readonly string[]): void {
    this.#components.announce(paths);
    this.#waiting.set(home, [...(this.#waiting.get(home) ?? []), ...paths]);
    this.#timer ??= this.#components.clock.after(KEEP_DELAY_MS, () => this.#keepAll());
  }

  /** These paths are of use to a build here. */
  used(paths: readonly string[]): void {
    this.#components.kept.used(paths);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #keepAll(): void {
    this.#timer = undefined;
    const { logger } = this.#components;
    for (const [home, paths] of this.#waiting) {
      this.#keepOf(home, paths).catch((error: unknown) =>
        logger.warn({ err: error, paths }, 'outputs could not be rooted and signed'),
      );
    }
    this.#waiting.clear();
  }

  async #keepOf(home: string, paths: string[]): Promise<void> {
    const { self, roots, kept, signOutputs } = this.#components;
    await roots.keep(home, paths);
    await Promise.all([signOutputs(paths), home === self ? undefined : kept.keep(paths)]);
  }
}
