import { type BigIntStats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Message } from '../daemon/constants.ts';
import { MAX_CACHED_INFOS_BYTES, MAX_CACHED_MS, STAMP_SETTLED_MS, STAMP_VALID_MS } from './constants.ts';
import type { AgreedHandshake } from './handshake.ts';

/** What the cache asks of its surroundings. */
export interface PathInfoCacheInit {
  /**
   * What changes whenever the store's database does, and since when it has been so by the wall clock; undefined where that cannot be
   * known.
   */
  readonly stamp: () => { readonly text: string; readonly sinceMs: number } | undefined;
  /** By the wall clock, which files are stamped with. */
  readonly now: () => number;
}

/**
 * Answers of the real daemon to QueryPathInfo, its own bytes, good for every client of one protocol for as long as the store's
 * database does not change. Most questions about a closure are asked again and again while nothing is built.
 */
export class PathInfoCache {
  readonly #init: PathInfoCacheInit;
  readonly #answers = new Map<string, Buffer>();
  #bytes = 0;
  #stamp: string | undefined;
  #since = Number.NEGATIVE_INFINITY;
  #stampedAt = Number.NEGATIVE_INFINITY;

  constructor(init: PathInfoCacheInit) {
    this.#init = init;
  }

  /**
   * Which state of the database an answer asked for now is of; undefined where it cannot be told from a later one. What the cache says is
   * never older than `STAMP_VALID_MS`.
   */
  stamp(): string | undefined {
    const now = this.#init.now();
    if (now >= this.#stampedAt && now - this.#stampedAt < STAMP_VALID_MS) return this.#stamp;
    this.#stampedAt = now;
    const stamp = this.#init.stamp();
    // Clocks of file systems are coarse: two changes may look like one until some time has passed.
    const text = stamp !== undefined && now - stamp.sinceMs >= STAMP_SETTLED_MS ? stamp.text : undefined;
    if (text === undefined || text !== this.#stamp || now - this.#since > MAX_CACHED_MS) {
      this.#clear();
      this.#since = now;
    }
    this.#stamp = text;
    return text;
  }

  /** The next question is of a client that may have changed something itself. */
  lookAgain(): void {
    this.#stampedAt = Number.NEGATIVE_INFINITY;
  }

  get(handshake: AgreedHandshake, path: string): Buffer | undefined {
    return this.stamp() === undefined ? undefined : this.#answers.get(keyOf(handshake, path));
  }

  /** @param askedAt what {@link stamp} said before the daemon was asked */
  put(handshake: AgreedHandshake, path: string, answer: Buffer, askedAt: string | undefined): void {
    if (askedAt === undefined || askedAt !== this.stamp() || !isPlainInfo(answer)) return;
    const key = keyOf(handshake, path);
    if (this.#answers.has(key) || this.#bytes + answer.length > MAX_CACHED_INFOS_BYTES) return;
    // A copy: the bytes came in a larger piece that would be kept with them.
    this.#answers.set(key, Buffer.from(answer));
    this.#bytes += answer.length + key.length;
  }

  #clear(): void {
    this.#answers.clear();
    this.#bytes = 0;
  }
}

function keyOf({ minor, features }: AgreedHandshake, path: string): string {
  return features.size === 0 ? `${minor} ${path}` : `${minor} ${[...features].sort().join(',')} ${path}`;
}

/** A path that is valid, with nothing said before: no log line is told twice, and what is not there may come. */
function isPlainInfo(answer: Buffer): boolean {
  return answer.length > 16 && answer.readUInt32LE(0) === Message.Last && answer.readUInt32LE(8) === 1;
}

/**
 * The stamp of the database of a real daemon, which is beside its socket's directory (`/nix/var/nix/db` and
 * `/nix/var/nix/daemon-socket/socket`): SQLite writes every change into the write-ahead log, or into the file itself where it keeps none.
 */
export function databaseStamp(daemonSocket: string): PathInfoCacheInit['stamp'] {
  const file = join(dirname(dirname(daemonSocket)), 'db/db.sqlite');
  return () => {
    const [database, log] = [statOf(file), statOf(`${file}-wal`)];
    // On another file system it is somebody else's: a container may have the socket of its host, and a database of its own.
    if (database === undefined || database.dev !== statOf(daemonSocket)?.dev) return undefined;
    // Readers make an empty log, and take it away.
    const stamps = [database, ...(log === undefined || log.size === 0n ? [] : [log])];
    // Without the time of status changes: a reader's SQLite sets the owner of the log anew.
    return {
      text: stamps.map(({ ino, size, mtimeNs }) => `${ino} ${size} ${mtimeNs}`).join(' '),
      sinceMs: Math.max(...stamps.map(({ mtimeMs }) => Number(mtimeMs))),
    };
  };
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    // Not to be seen by this user: as good as not there.
    return undefined;
  }
}
