import type { Clock, Logger, Timer } from '@mesh/net';
import { isStorePath } from '@mesh/nix';
import { HASH_BYTES, HOLDINGS_MAX_ADDED } from '@mesh/wire';
import { messageOf } from '../errors.ts';
import {
  NEWS_INTERVAL_MS,
  RELOAD_INTERVAL_MS,
  RELOAD_RETRY_FIRST_MS,
  RELOAD_RETRY_LAST_MS,
  RELOAD_SOON_MS,
  STALE_PATHS,
  STALE_SHARE,
} from './constants.ts';
import { hashOfPart, hashOfPath, PathFilter } from './path-filter.ts';
import type { ValidPaths } from './valid-paths.ts';

/** This machine's valid paths in short. */
export interface OwnSummary {
  readonly epoch: number;
  readonly filter: PathFilter;
  /** Paths in it, about. */
  readonly paths: number;
}

export interface OwnHoldingsComponents {
  readonly store: Pick<ValidPaths, 'all'>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'debug'>;
  /** Hashes that came into the current summary, {@link HASH_BYTES} each; at most HOLDINGS_MAX_ADDED. */
  readonly onAdded: (hashes: Uint8Array) => void;
  /** There is a new summary. */
  readonly onRenewed: () => void;
}

/**
 * Keeps the summary of this machine's valid paths: reads them all once, then adds what comes. Paths that went stay in it, as wrong
 * guesses, until they are so many that it is made anew.
 */
export class OwnHoldings {
  readonly #components: OwnHoldingsComponents;
  #current: { epoch: number; filter: PathFilter; paths: number } | undefined;
  /** Being filled by a reading of all paths. */
  #fresh: PathFilter | undefined;
  /** Until the first reading is over: there is no filter yet to which they could be added. */
  #early: string[] = [];
  /** Hashes not told yet. */
  #news: Uint8Array[] = [];
  #newsTimer: Timer | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;
  #reload: { readonly timer: Timer; readonly due: number } | undefined;
  #loadedAt = 0;
  #loading = false;
  #retryMs = RELOAD_RETRY_FIRST_MS;
  #changed = false;
  #gone = 0;
  #stopped = false;

  constructor(components: OwnHoldingsComponents) {
    this.#components = components;
  }

  /** Undefined until the store was read. */
  get current(): OwnSummary | undefined {
    return this.#current;
  }

  /** Reads the store, now and as often as it needs. Idempotent. */
  start(): void {
    if (this.#current === undefined && this.#reload === undefined && !this.#loading) this.#loadIn(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#reload?.timer.cancel();
    this.#newsTimer?.cancel();
  }

  /** These paths are valid here. */
  add(paths: Iterable<string>): void {
    for (const path of paths) if (isStorePath(path)) this.#add(path);
  }

  /** Whether the path with this hash part was probably valid here some time. */
  seemsToHold(hashPart: string): boolean {
    const hash = hashOfPart(hashPart);
    return hash !== undefined && (this.#current?.filter.has(hash) ?? false);
  }

  /** So many paths are no longer here. */
  lost(paths: number): void {
    this.#gone += paths;
    this.touched();
  }

  /** Something happened in the store, perhaps unseen: it is read anew some time. */
  touched(): void {
    this.#changed = true;
    if (this.#current !== undefined) this.#loadIn(this.#untilReload(RELOAD_INTERVAL_MS));
  }

  /** More happened than was seen: the store is read anew soon. */
  missed(): void {
    this.#changed = true;
    this.#loadIn(this.#untilReload(RELOAD_SOON_MS));
  }

  #untilReload(intervalMs: number): number {
    return Math.max(0, this.#loadedAt + intervalMs - this.#components.clock.monotonic());
  }

  #loadIn(delayMs: number): void {
    const { clock } = this.#components;
    const due = clock.monotonic() + delayMs;
    if (this.#stopped || (this.#reload !== undefined && this.#reload.due <= due)) return;
    this.#reload?.timer.cancel();
    const timer = clock.after(delayMs, () => {
      this.#reload = undefined;
      void this.#load();
    });
    this.#reload = { timer, due };
  }

  async #load(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    this.#changed = false;
    this.#gone = 0;
    const { clock, store, logger } = this.#components;
    try {
      const total = await this.#readAll(store);
      this.#loadedAt = clock.monotonic();
      this.#retryMs = RELOAD_RETRY_FIRST_MS;
      this.#settle(total);
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'the valid paths could not be read; tried again later');
      this.#changed = true;
      this.#loadIn(this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, RELOAD_RETRY_LAST_MS);
    } finally {
      this.#fresh = undefined;
      this.#loading = false;
      if (this.#changed) this.touched();
    }
  }

  async #readAll(store: Pick<ValidPaths, 'all'>): Promise<number> {
    let total = 0;
    await store.all((count) => {
      total = count;
      this.#fresh = PathFilter.sizedFor(count);
      return (path) => this.#add(path);
    });
    return total;
  }

  /** The summary is the one just read, unless the one there is serves as well. */
  #settle(total: number): void {
    const { clock, onRenewed } = this.#components;
    const current = this.#current;
    const filter = this.#fresh ?? PathFilter.sizedFor(total);
    if (current !== undefined) {
      const stale = current.paths - total;
      const useful = stale < Math.max(STALE_PATHS, STALE_SHARE * total);
      const roomy = current.paths <= current.filter.capacity || current.filter.bits >= filter.bits;
      if (useful && roomy) return;
    }
    this.#dropNews();
    const epoch = Math.max(clock.now(), (current?.epoch ?? 0) + 1);
    this.#current = { epoch, filter, paths: total };
    const early = this.#early;
    this.#early = [];
    this.add(early);
    onRenewed();
  }

  #add(path: string): void {
    const hash = hashOfPath(path);
    this.#fresh?.add(hash);
    const current = this.#current;
    if (current === undefined) {
      // What comes before or while the store is first read: it may have been read past already.
      if (this.#fresh !== undefined) return;
      if (this.#early.length < HOLDINGS_MAX_ADDED) this.#early.push(path);
      else this.#changed = true;
      return;
    }
    if (!current.filter.add(hash)) return;
    current.paths += 1;
    if (current.paths > current.filter.capacity) this.missed();
    this.#news.push(hash);
    if (this.#news.length >= HOLDINGS_MAX_ADDED) this.#tell();
    const wait = this.#toldAt + NEWS_INTERVAL_MS - this.#components.clock.monotonic();
    this.#newsTimer ??= this.#components.clock.after(Math.max(0, wait), () => this.#tell());
  }

  #tell(): void {
    const news = this.#news;
    this.#dropNews();
    if (news.length === 0) return;
    this.#toldAt = this.#components.clock.monotonic();
    const hashes = new Uint8Array(news.length * HASH_BYTES);
    for (const [index, hash] of news.entries()) hashes.set(hash, index * HASH_BYTES);
    this.#components.onAdded(hashes);
  }

  #dropNews(): void {
    this.#news = [];
    this.#newsTimer?.cancel();
    this.#newsTimer = undefined;
  }
}
