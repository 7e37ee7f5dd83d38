import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from '@mesh/net';
import { messageOf } from '../errors.ts';
import { MAX_GONE, PURGE_AGAIN_MS, PURGE_SOON_MS } from './constants.ts';

export interface NegativeCacheInit {
  /** URLs under which Nix may know our cache. */
  readonly urls: readonly string[];
  /** Directories in which Nix keeps what it remembers of binary caches; those that are not there are passed over. */
  readonly directories: readonly string[];
}

/**
 * Nix remembers for an hour that a binary cache had not a path (`narinfo-cache-negative-ttl`), whatever the cache says about that; a path
 * that a member builds a minute later would be built again here. So what Nix noted about absent paths of our own cache is taken out of
 * its notes a moment later. And it believes for 30 days that a path is there once it was: what it noted about one whose NAR turned out to
 * be gone goes too, so that it can be found again with other contents. Nothing else is touched, and only in files of the layout that Nix 2.8 to 2.34 have
 * (NixOS/nix src/libstore/nar-info-disk-cache.cc).
 */
export class NixNegativeCache {
  readonly #init: NegativeCacheInit;
  readonly #logger: Pick<Logger, 'info' | 'debug'>;
  readonly #said = new Set<string>();
  /** Hash parts of paths that were there and are not any more. */
  readonly #gone = new Set<string>();
  #soon: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  /** Notes taken out since the start. */
  purged = 0;

  constructor(init: NegativeCacheInit, logger: Pick<Logger, 'info' | 'debug'>) {
    this.#init = init;
    this.#logger = logger;
  }

  /** Somebody was told that a path is not there: Nix writes that down about now. @param gone The hash part, where Nix thought otherwise */
  noted(gone?: string): void {
    if (gone !== undefined && this.#gone.size < MAX_GONE) this.#gone.add(gone);
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.purge();
    }, PURGE_SOON_MS).unref();
    // Once more for a Nix that was busy, or a file that was locked.
    this.#again ??= setTimeout(() => void this.purge(), PURGE_AGAIN_MS).unref();
    this.#again.refresh();
  }

  stop(): void {
    clearTimeout(this.#soon);
    clearTimeout(this.#again);
    this.#soon = this.#again = undefined;
  }

  /** Takes out what is noted now. Never throws: without, Nix only believes for an hour what was true. */
  async purge(): Promise<void> {
    const gone = [...this.#gone];
    let all = true;
    for (const directory of this.#init.directories) {
      for (const file of await cacheFiles(directory)) all = (await this.#purgeFile(file, gone)) && all;
    }
    if (all) for (const hashPart of gone) this.#gone.delete(hashPart);
  }

  /** @returns false where it has to be tried again */
  async #purgeFile(file: string, gone: readonly string[]): Promise<boolean> {
    try {
      // Loaded here and not before: it costs some milliseconds and a warning.
      const { DatabaseSync } = await import('node:sqlite');
      // Without waiting for locks: the main thread must not, and there is another time.
      const database = new DatabaseSync(file, { timeout: 0 });
      try {
        this.#purgeDatabase(database, file, gone);
      } finally {
        database.close();
      }
      return true;
    } catch (error) {
      this.#logger.debug({ file, reason: messageOf(error) }, 'what Nix remembers could not be changed now');
      if (!isBusy(error)) return true;
      this.noted();
      return false;
    }
  }

  #purgeDatabase(database: DatabaseSync, file: string, gone: readonly string[]): void {
    if (!hasKnownLayout(database)) {
      if (!this.#said.has(file)) {
        this.#logger.info(
          { file },
          'this Nix keeps its notes about binary caches in a way not known here; it may believe for an hour that a path is absent',
        );
      }
      this.#said.add(file);
      return;
    }
    // As Nix itself opens it: these are notes, not worth waiting for a disk.
    database.exec('pragma synchronous = off');
    const places = this.#init.urls.map(() => '?').join(', ');
    const ours = `cache in (select id from BinaryCaches where url in (${places}))`;
    const absent = database.prepare(`delete from NARs where present = 0 and ${ours}`);
    this.purged += Number(absent.run(...this.#init.urls).changes);
    if (gone.length === 0) return;
    const one = database.prepare(`delete from NARs where hashPart = ? and ${ours}`);
    for (const hashPart of gone) this.purged += Number(one.run(hashPart, ...this.#init.urls).changes);
  }
}

/** Where Nix, run by a user with this home directory and environment, keeps its notes. */
export function nixCacheDirectories(
  home: string,
  env: Readonly<Record<string, string | undefined>>,
): string[] {
  const { NIX_CACHE_HOME: own, XDG_CACHE_HOME: xdg } = env;
  return [
    ...new Set([...(own ? [own] : []), ...(xdg ? [join(xdg, 'nix')] : []), join(home, '.cache', 'nix')]),
  ];
}

async function cacheFiles(directory: string): Promise<string[]> {
  try {
    const names = await readdir(directory);
    return names
      .filter((name) => /^binary-cache-v\d+\.sqlite$/.test(name))
      .map((name) => join(directory, name));
  } catch {
    // Nix has not been used by this user, or the directory is somebody else's: nothing there is ours to change.
    return [];
  }
}

function hasKnownLayout(database: DatabaseSync): boolean {
  const columns = (table: string) =>
    database
      .prepare(`select name from pragma_table_info('${table}')`)
      .all()
      .map(({ name }) => name);
  const [caches, nars] = [columns('BinaryCaches'), columns('NARs')];
  return (
    ['id', 'url'].every((name) => caches.includes(name)) &&
    ['cache', 'hashPart', 'present'].every((name) => nars.includes(name))
  );
}

/** SQLITE_BUSY and SQLITE_LOCKED. */
function isBusy(error: unknown): boolean {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
  return code === 5 || code === 6;
}
