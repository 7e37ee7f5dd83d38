import { type FSWatcher, lstatSync, watch } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger, Timer } from '@mesh/net';
import { isStorePath, STORE_DIR } from '@mesh/nix';
import { messageOf } from '../errors.ts';
import {
  FIRST_LOOK_MS,
  FORGET_NAME_MS,
  LAST_LOOK_PAUSE_MS,
  LOOK_AWAY_MS,
  MAX_WATCHED_NAMES,
  NAMES_PER_LOOK,
  POLL_FIRST_MS,
  POLL_LAST_MS,
  WRITES_IN_A_ROW,
} from './constants.ts';
import type { ValidPaths } from './valid-paths.ts';

export interface StoreWatchComponents {
  /** Where the store's files are: its own directory, except for tests. */
  readonly directory?: string;
  readonly store: Pick<ValidPaths, 'among'>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'debug' | 'info'>;
  /** Whether the path with this hash part was valid before: then what happened is perhaps its end. */
  readonly seemsToHold: (hashPart: string) => boolean;
  readonly onValid: (paths: readonly string[]) => void;
  /** So many paths that were valid are gone. */
  readonly onGone: (paths: number) => void;
  /** More happened than was seen. */
  readonly onMissed: () => void;
}

/** What Nix calls the lock of a path, after the path. */
const LOCK = '.lock';

interface Watched {
  /** When something last happened to it. */
  touchedAt: number;
  dueAt: number;
  pauseMs: number;
}

/**
 * Finds out what comes into and goes from the store by whatever hand. A name appears some time before its path is valid, so it is
 * looked at again and again; the end of its lock file, which is when Nix has registered it, brings the next look at once.
 */
export class StoreWatch {
  readonly #components: StoreWatchComponents;
  readonly #directory: string;
  readonly #names = new Map<string, Watched>();
  #watcher: FSWatcher | undefined;
  #timer: { readonly timer: Timer; readonly due: number } | undefined;
  #poll: Timer | undefined;
  #looking = false;
  /** Since a name last came or went. */
  #writes = 0;
  #away = false;
  #stopped = false;

  constructor(components: StoreWatchComponents) {
    this.#components = components;
    this.#directory = components.directory ?? STORE_DIR;
  }

  /** Idempotent. */
  start(): void {
    if (this.#watcher !== undefined || this.#poll !== undefined || this.#stopped) return;
    try {
      this.#watchAgain();
    } catch (error) {
      this.#pollInstead(error);
    }
  }

  #watchAgain(): void {
    this.#writes = 0;
    this.#watcher = watch(this.#directory, { persistent: false });
    this.#watcher.on('change', (type, name) => {
      if (type === 'rename') {
        this.#writes = 0;
        this.#touched(String(name));
        return;
      }
      // What merely changes in or at a path that is there makes it neither valid nor invalid.
      this.#writes += 1;
      if (this.#writes >= WRITES_IN_A_ROW) void this.#lookAway();
    });
    this.#watcher.on('error', (error) => this.#pollInstead(error));
  }

  async #lookAway(): Promise<void> {
    if (this.#away || this.#stopped) return;
    this.#away = true;
    try {
      const before = await changedAt(this.#directory);
      this.#watcher?.close();
      await new Promise<void>((resolve) => {
        this.#components.clock.after(LOOK_AWAY_MS, resolve);
      });
      if (this.#stopped || this.#poll !== undefined) return;
      this.#watchAgain();
      if ((await changedAt(this.#directory)) === before) return;
      const { seemsToHold } = this.#components;
      for (const name of await readdir(this.#directory)) if (!seemsToHold(hashPartOf(name))) this.#look(name);
    } catch (error) {
      this.#pollInstead(error);
    } finally {
      this.#away = false;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#watcher?.close();
    this.#timer?.timer.cancel();
    this.#poll?.cancel();
  }

  #touched(name: string): void {
    const locked = lockedBy(name);
    if (locked !== undefined) this.#look(locked);
    // A path's own name may end so too.
    if (locked === undefined || !this.#isThere(locked)) this.#look(name);
    else this.#names.delete(name);
  }

  #look(name: string): void {
    if (!this.#names.has(name) && !isStorePath(pathOf(name))) return;
    if (this.#names.size >= MAX_WATCHED_NAMES && !this.#names.has(name)) {
      this.#components.onMissed();
      return;
    }
    const now = this.#components.clock.monotonic();
    this.#names.set(name, { touchedAt: now, dueAt: now + FIRST_LOOK_MS, pauseMs: FIRST_LOOK_MS });
    this.#wakeAt(now + FIRST_LOOK_MS);
  }

  #wakeAt(due: number): void {
    if (this.#stopped || (this.#timer !== undefined && this.#timer.due <= due)) return;
    this.#timer?.timer.cancel();
    const { clock } = this.#components;
    const timer = clock.after(Math.max(0, due - clock.monotonic()), () => {
      this.#timer = undefined;
      void this.#lookAtDue();
    });
    this.#timer = { timer, due };
  }

  async #lookAtDue(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { clock, logger } = this.#components;
    try {
      const now = clock.monotonic();
      const due = [...this.#names].filter(([, { dueAt }]) => dueAt <= now).slice(0, NAMES_PER_LOOK);
      // The next look is later whatever this one brings; what happens meanwhile makes it sooner again.
      for (const [, watched] of due) {
        watched.pauseMs = Math.min(watched.pauseMs * 2, LAST_LOOK_PAUSE_MS);
        watched.dueAt = now + watched.pauseMs;
      }
      await this.#lookAt(due.map(([name]) => name));
      for (const [name, { touchedAt }] of due) {
        if (this.#names.get(name)?.touchedAt === touchedAt && now - touchedAt > FORGET_NAME_MS) {
          this.#names.delete(name);
        }
      }
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'new store paths could not be looked at; tried again');
    } finally {
      this.#looking = false;
      this.#sleep();
    }
  }

  async #lookAt(names: readonly string[]): Promise<void> {
    const { store, seemsToHold, onValid, onGone } = this.#components;
    const since = new Map(names.map((name) => [name, this.#names.get(name)?.touchedAt]));
    const done = (name: string) => {
      if (this.#names.get(name)?.touchedAt === since.get(name)) this.#names.delete(name);
    };
    const held = new Set(names.filter((name) => seemsToHold(hashPartOf(name))));
    const others = names.filter((name) => !held.has(name));
    const valid = others.length === 0 ? new Set<string>() : await store.among(others.map(pathOf));
    if (valid.size > 0) onValid([...valid]);
    const notYet = others.filter((name) => !valid.has(pathOf(name)));
    const collected = [...held].filter((name) => !this.#isThere(name));
    const never = notYet.filter((name) => !this.#isThere(name));
    if (collected.length > 0) onGone(collected.length);
    const waiting = new Set(notYet);
    for (const name of never) waiting.delete(name);
    for (const name of names) if (!waiting.has(name)) done(name);
  }

  /** At once: what was just written is in the kernel's memory, and a look by way of the thread pool costs ten times as much. */
  #isThere(name: string): boolean {
    try {
      return lstatSync(join(this.#directory, name), { throwIfNoEntry: false }) !== undefined;
    } catch (error) {
      this.#components.logger.debug({ reason: messageOf(error) }, 'a store path could not be looked at');
      return true;
    }
  }

  #sleep(): void {
    let due = Number.POSITIVE_INFINITY;
    for (const { dueAt } of this.#names.values()) due = Math.min(due, dueAt);
    if (due !== Number.POSITIVE_INFINITY) this.#wakeAt(due);
  }

  #pollInstead(error: unknown): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    if (this.#stopped || this.#poll !== undefined) return;
    const { logger } = this.#components;
    logger.info(
      { reason: messageOf(error) },
      'the store cannot be watched; what other programs add to it is seen later',
    );
    this.#components.onMissed();
    this.#pollIn(POLL_FIRST_MS, undefined);
  }

  #pollIn(pauseMs: number, before: bigint | undefined): void {
    this.#poll = this.#components.clock.after(pauseMs, () => void this.#pollNow(pauseMs, before));
  }

  async #pollNow(pauseMs: number, before: bigint | undefined): Promise<void> {
    // A directory that cannot be read now is looked at again.
    const changed = await changedAt(this.#directory).catch(() => before);
    if (this.#stopped) return;
    const quiet = changed === before;
    if (!quiet) this.#components.onMissed();
    this.#pollIn(quiet ? Math.min(pauseMs * 2, POLL_LAST_MS) : POLL_FIRST_MS, changed);
  }
}

async function changedAt(directory: string): Promise<bigint> {
  return (await stat(directory, { bigint: true })).mtimeNs;
}

function lockedBy(name: string): string | undefined {
  return name.endsWith(LOCK) ? name.slice(0, -LOCK.length) : undefined;
}

function pathOf(name: string): string {
  return `${STORE_DIR}/${name}`;
}

function hashPartOf(name: string): string {
  return name.slice(0, 32);
}
