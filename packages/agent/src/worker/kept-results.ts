import { lstat, lutimes, mkdir, readdir, readlink, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger, Timer } from '@mesh/net';
import { basenameOf, isStorePath, STORE_DIR } from '@mesh/nix';
import { MAX_KEPT_RESULTS, MAX_TIMER_MS, NOTE_USE_AFTER_MS } from '../constants.ts';
import { KeptClosures, type PathSize } from './kept-closures.ts';
import type { KeepLimits } from './kept-limits.ts';

export interface KeptResultsInit {
  /** Folder of the links. */
  readonly dir: string;
  readonly limits: KeepLimits;
}

/** What is asked of this machine's nix-daemon. */
export interface KeeperDaemon {
  queryPathInfos(paths: Iterable<string>): PromiseLike<ReadonlyMap<string, PathSize>>;
  addIndirectRoot(link: string): PromiseLike<void>;
}

export interface KeptResultsComponents {
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly withDaemon: <T>(work: (daemon: KeeperDaemon) => Promise<T>) => Promise<T>;
}

/** What is kept, for people. */
export interface KeptSummary {
  readonly count: number;
  /** NAR bytes, with all that the results refer to. */
  readonly bytes: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

/**
 * Results built here for others, kept from garbage collection for whoever needs them next: the machines of a mesh are each other's
 * cache. Within limits, least recently used let go first.
 *
 * On disk a result is a symbolic link named as the store path it leads to, registered with Nix as an indirect root; the link's own
 * time of change is when the result was last of use. So Nix and a restarted agent read the same thing, and anything else in the folder is
 * nobody's and left alone.
 */
export class KeptResults {
  readonly #init: KeptResultsInit;
  readonly #components: KeptResultsComponents;
  readonly #kept = new KeptClosures();
  /** One change after the other; never rejects. */
  #turn: Promise<void> = Promise.resolve();
  #loaded = false;
  #timer: Timer | undefined;

  constructor(init: KeptResultsInit, components: KeptResultsComponents) {
    this.#init = init;
    this.#components = components;
  }

  /** Takes up what an earlier run kept, and lets go of what is over the limits by now. */
  load(): Promise<void> {
    return this.#inTurn('what an earlier run kept cannot be read', () =>
      this.#components.withDaemon((daemon) => this.#load(daemon)),
    );
  }

  /** Keeps results that are valid and rooted otherwise until this resolves. Never rejects: what could not be kept is logged. */
  keep(paths: readonly string[]): Promise<void> {
    const { maxBytes, maxAgeMs } = this.#init.limits;
    if (maxBytes === 0 || maxAgeMs === 0) return Promise.resolve();
    return this.#inTurn('results for other machines cannot be kept', async () => {
      await this.#components.withDaemon(async (daemon) => {
        await this.#load(daemon);
        const nowMs = this.#components.clock.now();
        const added = await this.#count(daemon, new Map(paths.map((path) => [path, nowMs])));
        for (const path of added) await this.#link(daemon, path, nowMs);
      });
      await this.#trim();
    });
  }

  /** Some of these paths, if they are kept, were of use to somebody. */
  used(paths: readonly string[]): void {
    const nowMs = this.#components.clock.now();
    for (const path of paths) {
      const beforeMs = this.#kept.usedMs(path);
      if (beforeMs === undefined || nowMs - beforeMs < NOTE_USE_AFTER_MS) continue;
      this.#kept.used(path, nowMs);
      void this.#inTurn('the use of a kept result cannot be noted', async () => {
        if (this.#kept.has(path)) await lutimes(this.#linkOf(path), nowMs / 1000, nowMs / 1000);
      });
    }
  }

  summary(): KeptSummary {
    return { count: this.#kept.count, bytes: this.#kept.bytes, ...this.#init.limits };
  }

  /** Notes nothing more; what is kept stays so. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#turn;
    this.#timer?.cancel();
  }

  #inTurn(failure: string, work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn
      .then(work)
      .catch((error: unknown) => this.#components.logger.warn({ err: error, dir: this.#init.dir }, failure));
    return this.#turn;
  }

  async #load(daemon: KeeperDaemon): Promise<void> {
    if (this.#loaded) return;
    await mkdir(this.#init.dir, { recursive: true, mode: 0o700 });
    const found = await linksIn(this.#init.dir);
    const nowMs = this.#components.clock.now();
    // A clock that was wrong once must not keep something for ever.
    const usedMs = new Map([...found].map(([path, ms]) => [path, Math.min(ms, nowMs)]));
    const valid = new Set(await this.#count(daemon, usedMs));
    for (const path of found.keys()) {
      if (!valid.has(path)) await unlink(this.#linkOf(path));
      // Again, in case the folder was moved.
      else await daemon.addIndirectRoot(this.#linkOf(path));
    }
    this.#loaded = true;
    await this.#trim();
  }

  /** Counts those of the paths that are valid and alone within the limits; returns the ones that were not counted before. */
  async #count(daemon: KeeperDaemon, usedMs: ReadonlyMap<string, number>): Promise<string[]> {
    const fresh = [...usedMs.keys()].filter((path) => !this.#kept.has(path));
    const infos = await closureInfos(daemon, fresh, (path) => this.#kept.knows(path));
    const isKnown = (path: string): boolean => infos.has(path) || this.#kept.knows(path);
    const added = fresh.filter(
      (path) => isKnown(path) && this.#kept.closureBytes(path, infos) <= this.#init.limits.maxBytes,
    );
    for (const path of added) this.#kept.add(path, usedMs.get(path)!, infos);
    return added;
  }

  async #link(daemon: KeeperDaemon, path: string, usedMs: number): Promise<void> {
    const link = this.#linkOf(path);
    try {
      await symlink(path, link).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      await lutimes(link, usedMs / 1000, usedMs / 1000);
      await daemon.addIndirectRoot(link);
    } catch (error) {
      this.#kept.remove(path);
      throw error;
    }
  }

  async #trim(): Promise<void> {
    const { clock, logger } = this.#components;
    const { limits } = this.#init;
    const gone = this.#kept.trim({ ...limits, maxCount: MAX_KEPT_RESULTS }, clock.now());
    for (const path of gone) {
      await unlink(this.#linkOf(path)).catch((error: NodeJS.ErrnoException) => {
        // Somebody took the link away: that is what was to be done.
        if (error.code !== 'ENOENT') throw error;
      });
    }
    if (gone.length > 0) {
      logger.info({ count: gone.length, kept: this.#kept.count }, 'results for others are kept no longer');
    }
    this.#wakeForNext();
  }

  #wakeForNext(): void {
    this.#timer?.cancel();
    const { clock } = this.#components;
    const endMs = this.#kept.nextEndMs(this.#init.limits);
    if (endMs === undefined) return;
    const delayMs = Math.min(Math.max(endMs - clock.now(), 0) + 1, MAX_TIMER_MS);
    this.#timer = clock.after(
      delayMs,
      () => void this.#inTurn('old results cannot be let go', () => this.#trim()),
    );
  }

  #linkOf(path: string): string {
    return join(this.#init.dir, basenameOf(path));
  }
}

/** The store paths that links in a folder keep, with the links' times. */
async function linksIn(dir: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const name of await readdir(dir)) {
    const path = `${STORE_DIR}/${name}`;
    if (!isStorePath(path)) continue;
    const stat = await lstat(join(dir, name));
    if (stat.isSymbolicLink() && (await readlink(join(dir, name))) === path) found.set(path, stat.mtimeMs);
  }
  return found;
}

/** Infos of the roots and of all they refer to, but for what is known and what only that leads to. */
async function closureInfos(
  daemon: Pick<KeeperDaemon, 'queryPathInfos'>,
  roots: readonly string[],
  isKnown: (path: string) => boolean,
): Promise<Map<string, PathSize>> {
  const infos = new Map<string, PathSize>();
  const seen = new Set(roots);
  let level = roots.filter((path) => !isKnown(path));
  while (level.length > 0) {
    const next = new Set<string>();
    for (const [path, { narSize, references }] of await daemon.queryPathInfos(level)) {
      infos.set(path, { narSize, references });
      for (const reference of references)
        if (!seen.has(reference) && !isKnown(reference)) next.add(reference);
    }
    for (const path of next) seen.add(path);
    level = [...next];
  }
  return infos;
}
