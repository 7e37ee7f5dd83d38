import type { Emitter, Logger } from '@mesh/net';
import { missingPart, type ToldClosure } from './closure-plan.ts';
import { HAVE_PATIENCE_MS } from './constants.ts';
import type { DataPlane } from './data-plane.ts';
import { isPeerFault, isTransferError, TransferError, type TransferErrorCode } from './errors.ts';
import { FetchMeter, type FetchProgress } from './fetch-progress.ts';
import { Holders, type WantedPath } from './holders.ts';
import type { ProbableHolders } from './holdings/probable-holders.ts';
import { type ImportItem, narBytes } from './import/import.ts';
import { findLargeSources } from './large-sources.ts';
import type { TransferNet } from './net.ts';
import type { Vouchers } from './path-info-verification.ts';
import type { NarReport } from './pieces/nar-report.ts';
import { rootPlan } from './roots/fetch-roots.ts';
import type { RootHold, TempRoots } from './roots/temp-roots.ts';
import type { SourceRates } from './source-rates.ts';
import type { StoreClient } from './store-client.ts';
import type { StoreReader } from './store-reader.ts';
import { untilAborted } from './until-aborted.ts';
import { whoHas } from './who-has.ts';

/** A member sent what it should not have. */
export interface BadPeer {
  readonly peerId: string;
  readonly path: string | undefined;
  readonly code: TransferErrorCode;
  readonly message: string;
}

export interface TransferEvents {
  'bad-peer': [fault: BadPeer];
}

export interface FetchOptions {
  readonly signal?: AbortSignal;
  /** What is about to come, possibly more than once when a holder fails. */
  readonly onPlan?: (paths: number, bytes: number) => void;
  /** How far it is, a few times a second while something comes. */
  readonly onProgress?: (progress: FetchProgress) => void;
}

export interface FetchResult {
  readonly fetchedPaths: number;
  /** NAR bytes. */
  readonly fetchedBytes: number;
  /** Who gave how much: peer ids and NAR bytes. */
  readonly sources: { readonly peer: string; readonly bytes: number }[];
  /** Of these, bytes that came though their part came from elsewhere too. */
  readonly resentBytes?: number;
}

export interface FetcherComponents {
  readonly net: Pick<TransferNet, 'connectedMembers'>;
  readonly store: StoreReader;
  /** Keeps what a fetch relies on, and what came of it, from garbage collection. Without, nothing is kept. */
  readonly roots?: Pick<TempRoots, 'hold'>;
  readonly client: Pick<StoreClient, 'have' | 'closureInfos' | 'pathInfos' | 'label'>;
  readonly dataPlane: Pick<DataPlane, 'import' | 'prepare'>;
  readonly vouchers: Vouchers;
  /** How fast members are; without, all are taken for the same. */
  readonly rates?: SourceRates;
  /** Who probably has what; without, everybody connected is asked. */
  readonly probable?: ProbableHolders;
  readonly events: Emitter<TransferEvents>;
  readonly logger: Pick<Logger, 'debug' | 'warn'>;
  /** Monotonic, milliseconds; the system's own where nothing is said. */
  readonly now?: () => number;
}

/** Nix's words for a path whose references are not all there. */
const NOT_VALID = /is not valid/;
/** A collector that runs again and again while a closure comes wins in the end. */
const PLANS_AGAIN = 3;

/** Faults that say something about a member, not about a cable. */
const BAD: ReadonlySet<TransferErrorCode> = new Set([
  'TRANSFER_BAD_SIGNATURE',
  'TRANSFER_BAD_HASH',
  'TRANSFER_BAD_PATH_INFO',
]);

/**
 * Brings closures into this machine's store from the members that have them. All of it is rooted until the fetch is over and some
 * minutes longer; whoever needs the paths for longer than that roots them on a daemon connection before fetching.
 */
export class Fetcher {
  readonly #components: FetcherComponents;
  /** Paths being imported; the promises never reject. */
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(components: FetcherComponents) {
    this.#components = components;
  }

  /**
   * Makes the paths, with all they refer to, valid here. A holder that fails, lies or vanishes is replaced by another;
   * what another fetch is bringing already is waited for.
   * @throws TransferError TRANSFER_NO_SOURCE (`paths`: those nobody could give), TRANSFER_IMPORT_FAILED, TRANSFER_STOPPED
   */
  async fetchClosure(wanted: readonly WantedPath[], options: FetchOptions = {}): Promise<FetchResult> {
    using run = new FetchRun(this.#components, wanted, options);
    for (;;) {
      options.signal?.throwIfAborted();
      const missing = await run.missing();
      if (missing.length === 0) return run.result();
      this.#components.dataPlane.prepare();
      const items = await run.plan(missing);
      if (!(await run.root(items))) continue;
      const others = items.flatMap(({ info }) => this.#underWay.get(info.path) ?? []);
      // Nothing is claimed while waiting, so two fetches never wait for each other.
      if (others.length > 0) {
        await untilAborted(Promise.all(others), options.signal ?? new AbortController().signal);
      } else if (items.length > 0) await this.#import(items, run);
    }
  }

  async #import(items: readonly ImportItem[], run: FetchRun): Promise<void> {
    const done = Promise.withResolvers<void>();
    for (const { info } of items) this.#underWay.set(info.path, done.promise);
    try {
      await run.import(items);
    } finally {
      for (const { info } of items) this.#underWay.delete(info.path);
      done.resolve();
    }
  }
}

/** One fetch: whom it may still ask, and what came. */
class FetchRun implements Disposable {
  readonly #components: FetcherComponents;
  readonly #hold: RootHold | undefined;
  readonly #paths: readonly string[];
  readonly #options: FetchOptions;
  readonly #holders: Holders;
  readonly #bytesOf = new Map<string, number>();
  /** Which roots each peer was asked for in the current plan. */
  #assigned: ReadonlyMap<string, readonly string[]> = new Map();
  /** Why the last peer was ruled out, for the message when nobody is left. */
  #lastFault: TransferError | undefined;
  readonly #meter: FetchMeter | undefined;
  /** Paths of which several members together gave something else than was signed. */
  readonly #alone = new Set<string>();
  /** Peer, path and code of what was told of. */
  readonly #told = new Set<string>();
  #plansLeft = PLANS_AGAIN;
  #fetchedPaths = 0;
  #fetchedBytes = 0;
  #resentBytes = 0;

  constructor(components: FetcherComponents, wanted: readonly WantedPath[], options: FetchOptions) {
    this.#components = components;
    this.#hold = components.roots?.hold();
    this.#paths = [...new Set(wanted.map(({ path }) => path))];
    this.#options = options;
    this.#holders = new Holders(wanted);
    const { onProgress } = options;
    this.#meter = onProgress && new FetchMeter(components.now ?? (() => performance.now()), onProgress);
  }

  async missing(): Promise<string[]> {
    const found = await this.#components.store.validPaths(this.#paths);
    const missing = this.#paths.filter((path) => !found.has(path));
    if (missing.length === 0 || this.#hold === undefined) return missing;
    // What is here is left out of all that follows: it must not go meanwhile, nor what comes.
    const kept = await this.#hold.add(this.#paths);
    return this.#paths.filter((path) => !kept.has(path));
  }

  /** Roots what the items rely on, and what comes of a long import; false where some of that was collected meanwhile. */
  async root(items: readonly ImportItem[]): Promise<boolean> {
    return this.#hold === undefined || items.length === 0 || rootPlan(items, this.#hold);
  }

  /** What to import next, verified; empty where every peer asked failed, who then are not asked again. */
  async plan(missing: readonly string[]): Promise<ImportItem[]> {
    const absent = new Set(missing);
    const exclude = this.#paths.filter((path) => !absent.has(path));
    this.#assigned = await this.#assign(missing);
    const shares = await Promise.all(
      [...this.#assigned].map(([peerId, roots]) => this.#share(peerId, roots, exclude)),
    );
    const items = new Map<string, ImportItem>();
    for (const item of shares.flat()) if (!items.has(item.info.path)) items.set(item.info.path, item);
    return this.#fromEverybody([...items.values()]);
  }

  /** The items, the large ones with others that have the same. */
  async #fromEverybody(items: ImportItem[]): Promise<ImportItem[]> {
    const sources = await findLargeSources(items, this.#components, signalOf(this.#options));
    return items.map((item) => {
      const { path } = item.info;
      const others = sources.get(path)?.filter(({ peer }) => !this.#holders.isRuledOut(peer.peerId, path));
      if (others === undefined) return item;
      return { ...item, sources: others, ...(this.#alone.has(path) ? { alone: true } : {}) };
    });
  }

  async import(items: readonly ImportItem[]): Promise<void> {
    this.#options.onPlan?.(items.length, narBytes(items));
    this.#meter?.planned(items.length, narBytes(items));
    try {
      await this.#components.dataPlane.import(items, {
        signal: this.#options.signal ?? new AbortController().signal,
        onPath: (item) => this.#pathCame(item),
        onReport: (_item, report) => this.#hear(report),
      });
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      if (this.#isPlannedAgain(error)) return;
      if (!isPeerFault(error)) throw error;
      this.#ruleOut(error, this.#assigned.get(error.peerId) ?? []);
    }
  }

  /** What a path refers to was collected after the plan was made: a new plan brings that too. */
  #isPlannedAgain(error: unknown): boolean {
    if (!isTransferError(error) || error.code !== 'TRANSFER_IMPORT_FAILED') return false;
    if (!NOT_VALID.test(error.message) || this.#plansLeft === 0) return false;
    this.#plansLeft -= 1;
    return true;
  }

  [Symbol.dispose](): void {
    this.#hold?.release();
  }

  result(): FetchResult {
    return {
      fetchedPaths: this.#fetchedPaths,
      fetchedBytes: this.#fetchedBytes,
      sources: [...this.#bytesOf].map(([peer, bytes]) => ({ peer, bytes })),
      resentBytes: this.#resentBytes,
    };
  }

  #pathCame({ info }: ImportItem): void {
    this.#fetchedPaths += 1;
    this.#fetchedBytes += info.narSize;
    this.#meter?.pathCame();
  }

  #hear({ shares, resentBytes, faults }: NarReport): void {
    this.#resentBytes += resentBytes;
    for (const { peer, bytes, ms } of shares) {
      this.#bytesOf.set(peer, (this.#bytesOf.get(peer) ?? 0) + bytes);
      this.#meter?.came(peer, bytes);
      this.#components.rates?.observed(peer, bytes, ms);
    }
    for (const fault of faults) {
      this.#holders.rule(fault.peerId, fault.path);
      this.#tell(fault);
    }
  }

  /** Who is asked for what; members nobody named are asked what they have where the named ones are of no use. */
  async #assign(missing: readonly string[]): Promise<Map<string, string[]>> {
    const { net } = this.#components;
    const connected = new Set(net.connectedMembers());
    const sourceless = missing.filter((path) => this.#holders.of(path, connected).length === 0);
    if (sourceless.length > 0) {
      const found = await whoHas(sourceless, this.#components, {
        ...signalOf(this.#options),
        patienceMs: HAVE_PATIENCE_MS,
      });
      for (const [path, peerIds] of found) this.#holders.add(path, peerIds);
    }
    const lost = sourceless.filter((path) => this.#holders.of(path, connected).length === 0);
    if (lost.length > 0) throw noSource(lost, this.#lastFault);
    return this.#holders.assign(missing, connected);
  }

  async #share(peerId: string, roots: readonly string[], exclude: readonly string[]): Promise<ImportItem[]> {
    const { client, store, vouchers } = this.#components;
    try {
      const pages = await client.closureInfos(peerId, roots, { exclude, ...signalOf(this.#options) });
      const told: ToldClosure = { peer: client.label(peerId), roots, pages };
      const items = await missingPart(told, store, vouchers);
      const known = new Set(pages.flatMap(({ infos }) => infos.map(({ path }) => path)));
      for (const root of roots) if (!known.has(root)) this.#holders.rule(peerId, root);
      return items;
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      if (!isPeerFault(error)) throw error;
      this.#ruleOut(error, roots);
      return [];
    }
  }

  #ruleOut(error: TransferError & { peerId: string }, roots: readonly string[]): void {
    this.#lastFault = error;
    const { peerId, path, code, message } = error;
    for (const root of roots) this.#holders.rule(peerId, root);
    if (path !== undefined) {
      this.#holders.rule(peerId, path);
      if (code === 'TRANSFER_BAD_HASH' || code === 'TRANSFER_SIDE_CHANNEL') this.#alone.add(path);
    }
    this.#tell({ peerId, path, code, message });
  }

  #tell({ peerId, path, code, message }: BadPeer): void {
    const what = `${peerId} ${path} ${code}`;
    if (this.#told.has(what)) return;
    this.#told.add(what);
    const { logger, events } = this.#components;
    if (!BAD.has(code)) logger.debug({ peerId, path, code, reason: message }, 'another holder is tried');
    else {
      logger.warn({ peerId, path, code }, message);
      events.emit('bad-peer', { peerId, path, code, message });
    }
  }
}

function signalOf({ signal }: FetchOptions): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function noSource(paths: readonly string[], lastFault: TransferError | undefined): TransferError {
  const which = paths.length === 1 ? paths[0] : `${paths[0]} and ${paths.length - 1} other paths`;
  const why = lastFault === undefined ? '' : ` (${lastFault.message})`;
  return new TransferError(
    'TRANSFER_NO_SOURCE',
    `No connected member could give ${which}: it has to be built again${why}.`,
    { paths, ...(paths[0] === undefined ? {} : { path: paths[0] }), cause: lastFault },
  );
}
