import type { Logger } from '@mesh/net';
import { isTransferError, TransferError } from '../errors.ts';
import type { Fetcher, FetchOptions, FetchResult } from '../fetcher.ts';
import type { WantedPath } from '../holders.ts';
import type { TransferNet } from '../net.ts';
import type { RootHold, TempRoots } from '../roots/temp-roots.ts';
import { type SourceRates, UPSTREAM } from '../source-rates.ts';
import { cheapestSource, type MissingRoot, missingClosure, type SourceSpeed } from './cheapest-source.ts';
import { BEST_COMPRESSION, ONLY_SOURCE_TIMEOUT_MS, OTHER_SOURCE_TIMEOUT_MS } from './constants.ts';
import { JointProgress } from './joint-progress.ts';
import type { Upstream, UpstreamOffer } from './upstream.ts';

/** A path wanted here, from members or from substituters. */
export interface WantedInput extends WantedPath {
  /** This machine's own substituters may have it too. */
  readonly upstream?: boolean | undefined;
}

export interface InputSourcesComponents {
  readonly fetcher: Pick<Fetcher, 'fetchClosure'>;
  readonly upstream: Upstream;
  readonly rates: SourceRates;
  readonly net: Pick<TransferNet, 'connectedMembers'>;
  /** See {@link whoHas}. */
  readonly whoHas: (
    paths: readonly string[],
    options: { readonly signal?: AbortSignal },
  ) => Promise<ReadonlyMap<string, readonly string[]>>;
  /** Keeps what came from garbage collection for some minutes. Without, nothing is kept. */
  readonly roots?: Pick<TempRoots, 'hold'>;
  readonly logger: Pick<Logger, 'debug'>;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
}

/** Brings closures here from the members that have them or from this machine's own substituters, whichever are expected to be faster. */
export class InputSources {
  readonly #components: InputSourcesComponents;

  constructor(components: InputSourcesComponents) {
    this.#components = components;
  }

  /**
   * As {@link Fetcher.fetchClosure}; what members could not give comes from substituters where these may have it, and the other way
   * round.
   * @throws TransferError TRANSFER_NO_SOURCE (`paths`: those nobody could give), TRANSFER_IMPORT_FAILED, TRANSFER_STOPPED
   */
  async fetchClosure(wanted: readonly WantedInput[], options: FetchOptions = {}): Promise<FetchResult> {
    const { fetcher, upstream } = this.#components;
    if (!upstream.configured || !wanted.some((input) => input.upstream === true))
      return fetcher.fetchClosure(wanted, options);
    using run = new InputRun(this.#components, wanted, options);
    return run.fetch();
  }
}

/** One fetch: what was tried, and what came from where. */
class InputRun implements Disposable {
  readonly #components: InputSourcesComponents;
  readonly #options: FetchOptions;
  readonly #wanted: ReadonlyMap<string, WantedInput>;
  readonly #connected: ReadonlySet<string>;
  readonly #hold: RootHold | undefined;
  readonly #tried = new Set<string>();
  readonly #results: FetchResult[] = [];
  readonly #progress: JointProgress;

  constructor(components: InputSourcesComponents, wanted: readonly WantedInput[], options: FetchOptions) {
    this.#components = components;
    this.#options = options;
    this.#wanted = new Map(wanted.map((input) => [input.path, input]));
    this.#connected = new Set(components.net.connectedMembers());
    this.#hold = components.roots?.hold();
    this.#progress = new JointProgress(components.now, options);
  }

  [Symbol.dispose](): void {
    this.#hold?.release();
  }

  async fetch(): Promise<FetchResult> {
    const asked = [...this.#wanted.values()].filter((input) => this.#isWorthAsking(input));
    const offers = await this.#offers(asked);
    const extra = await this.#otherMembers(asked.filter(({ path }) => offers.has(path)));
    const roots = asked.filter(({ path }) => offers.has(path)).map((input) => this.#root(input, extra));
    const { fromUpstream, overlap } = cheapestSource(roots, offers, this.#speedOf([UPSTREAM])!);
    const far = new Set(fromUpstream);
    const near = [...this.#wanted.keys()].filter((path) => !far.has(path));
    // A fault of one side ends the other: who fetches is told at once.
    const stop = new AbortController();
    const signal = withSignal(this.#options.signal, stop.signal);
    try {
      const first = this.#fromUpstream(fromUpstream, offers, signal);
      if (overlap) await first;
      const [failed] = await Promise.all([first, this.#fromMembers(near, extra, signal)]);
      // Those are not asked of substituters again.
      await this.#fromMembers(failed, extra, signal);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
    return joined(this.#results);
  }

  /** Whether substituters may have it sooner than the best of its holders: of members on a fast LAN they are never asked. */
  #isWorthAsking({ upstream, holders }: WantedInput): boolean {
    if (upstream !== true) return false;
    const members = this.#speedOf(holders);
    return (
      members === undefined || this.#components.rates.rateOf(UPSTREAM) * BEST_COMPRESSION > members.bytesPerMs
    );
  }

  async #offers(asked: readonly WantedInput[]): Promise<ReadonlyMap<string, UpstreamOffer>> {
    const isOnly = asked.some(({ holders }) => this.#speedOf(holders) === undefined);
    return this.#components.upstream.offers(
      asked.map(({ path }) => path),
      {
        timeoutMs: isOnly ? ONLY_SOURCE_TIMEOUT_MS : OTHER_SOURCE_TIMEOUT_MS,
        ...signalOf(this.#options.signal),
      },
    );
  }

  /** Members that have, by now, what nobody was said to have: who was here first has fetched it already. */
  async #otherMembers(offered: readonly WantedInput[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const unheld = offered.filter(({ holders }) => this.#speedOf(holders) === undefined);
    return unheld.length === 0
      ? new Map()
      : this.#components.whoHas(
          unheld.map(({ path }) => path),
          signalOf(this.#options.signal),
        );
  }

  #root({ path, holders }: WantedInput, extra: ReadonlyMap<string, readonly string[]>): MissingRoot {
    const members = this.#speedOf([...holders, ...(extra.get(path) ?? [])]);
    return members === undefined ? { path } : { path, members };
  }

  /** The fastest of these sources; undefined where none is connected. */
  #speedOf(sources: readonly string[]): SourceSpeed | undefined {
    const { rates } = this.#components;
    const speeds = sources
      .filter((source) => source === UPSTREAM || this.#connected.has(source))
      .map((source) => ({ latencyMs: rates.latencyOf(source), bytesPerMs: rates.rateOf(source) }));
    return speeds.toSorted((a, b) => b.bytesPerMs - a.bytesPerMs)[0];
  }

  /** Answers those that did not come. */
  async #fromUpstream(
    paths: readonly string[],
    offers: ReadonlyMap<string, UpstreamOffer>,
    signal: AbortSignal,
  ): Promise<string[]> {
    if (paths.length === 0) return [];
    const { upstream, rates, logger, now } = this.#components;
    for (const path of paths) this.#tried.add(path);
    await this.#hold?.add(paths);
    const closure = new Set(paths.flatMap((path) => [...missingClosure(path, offers)]));
    const part = this.#progress.part();
    part.plan(closure.size, sumOf(closure, offers, 'narBytes'));
    const startedMs = now();
    const valid = await upstream.fetch(paths, {
      signal,
      onProgress: ({ paths: done, bytes }) =>
        part.came({ paths: done, bytes, sources: [{ peer: UPSTREAM, bytes }] }),
    });
    const came = new Set(
      paths.filter((path) => valid.has(path)).flatMap((path) => [...missingClosure(path, offers)]),
    );
    const bytes = sumOf(came, offers, 'narBytes');
    rates.observed(UPSTREAM, sumOf(came, offers, 'downloadBytes'), now() - startedMs);
    const failed = paths.filter((path) => !valid.has(path));
    if (failed.length > 0)
      logger.debug({ paths: failed }, 'members are asked for what substituters did not give');
    this.#results.push({
      fetchedPaths: came.size,
      fetchedBytes: bytes,
      sources: bytes > 0 ? [{ peer: UPSTREAM, bytes }] : [],
    });
    return failed;
  }

  /** What nobody can give comes from substituters, where they were not tried yet. @throws TransferError TRANSFER_NO_SOURCE */
  async #fromMembers(
    paths: readonly string[],
    extra: ReadonlyMap<string, readonly string[]>,
    signal: AbortSignal,
  ): Promise<void> {
    const { fetcher } = this.#components;
    let left = [...paths];
    while (left.length > 0) {
      const part = this.#progress.part();
      const wanted = left.map((path) => ({
        path,
        holders: [...this.#wanted.get(path)!.holders, ...(extra.get(path) ?? [])],
      }));
      try {
        this.#results.push(
          await fetcher.fetchClosure(wanted, {
            signal,
            onPlan: (count, bytes) => part.plan(count, bytes),
            onProgress: (progress) =>
              part.came({ paths: progress.pathsDone, bytes: progress.bytesDone, sources: progress.sources }),
          }),
        );
        return;
      } catch (error) {
        if (!isTransferError(error) || error.code !== 'TRANSFER_NO_SOURCE') throw error;
        await this.#otherwise(error, signal);
        left = left.filter((path) => !error.paths.includes(path));
      }
    }
  }

  /** Brings from substituters what members could not give. @throws TransferError TRANSFER_NO_SOURCE where that cannot be done */
  async #otherwise(error: TransferError, signal: AbortSignal): Promise<void> {
    const { upstream } = this.#components;
    const hope = error.paths.filter(
      (path) => this.#wanted.get(path)?.upstream === true && !this.#tried.has(path),
    );
    if (hope.length === 0) throw error;
    const offers = await upstream.offers(hope, signalOf(signal));
    const offered = hope.filter((path) => offers.has(path));
    const failed = new Set(await this.#fromUpstream(offered, offers, signal));
    const lost = error.paths.filter((path) => !offers.has(path) || failed.has(path));
    if (lost.length > 0) throw noSource(lost, error);
  }
}

function joined(results: readonly FetchResult[]): FetchResult {
  const bytesOf = new Map<string, number>();
  for (const { sources } of results)
    for (const { peer, bytes } of sources) bytesOf.set(peer, (bytesOf.get(peer) ?? 0) + bytes);
  return {
    fetchedPaths: results.reduce((sum, { fetchedPaths }) => sum + fetchedPaths, 0),
    fetchedBytes: results.reduce((sum, { fetchedBytes }) => sum + fetchedBytes, 0),
    sources: [...bytesOf].map(([peer, bytes]) => ({ peer, bytes })),
  };
}

function sumOf(
  paths: ReadonlySet<string>,
  offers: ReadonlyMap<string, UpstreamOffer>,
  what: 'narBytes' | 'downloadBytes',
): number {
  let sum = 0;
  for (const path of paths) sum += offers.get(path)?.[what] ?? 0;
  return sum;
}

function withSignal(given: AbortSignal | undefined, own: AbortSignal): AbortSignal {
  return given === undefined ? own : AbortSignal.any([given, own]);
}

function signalOf(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function noSource(paths: readonly string[], cause: TransferError): TransferError {
  const which = paths.length === 1 ? paths[0] : `${paths[0]} and ${paths.length - 1} other paths`;
  return new TransferError(
    'TRANSFER_NO_SOURCE',
    `Neither a connected member nor a substituter of this machine could give ${which}: it has to be built again.`,
    { paths, ...(paths[0] === undefined ? {} : { path: paths[0] }), cause },
  );
}
