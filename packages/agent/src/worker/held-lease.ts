import type { Clock, Logger } from '@mesh/net';
import type { FetchProgress } from '@mesh/transfer';
import type { LeaseMessage, LeaseOutcome, WorkerMessage } from '@mesh/wire';
import type { BuildUsage } from '../machine/build-usage.ts';
import type { BuildConnections } from './build-connections.ts';
import { failureOutcome, machineFailure } from './build-failure.ts';
import { checkRoom } from './disk-room.ts';
import type { FarStore } from './far-store.ts';
import { FetchTeller } from './fetch-teller.ts';
import { LogBatch } from './log-batch.ts';
import { type BuildEnd, type BuildSettings, DerivationBuild } from './run-build.ts';

/** Brings the inputs of a lease into this store. */
export interface InputFetcher {
  fetchClosure(
    inputs: readonly { path: string; holders: readonly string[]; upstream?: boolean | undefined }[],
    options: {
      signal: AbortSignal;
      onPlan(paths: number, bytes: number): void;
      onProgress(progress: FetchProgress): void;
    },
  ): Promise<{ sources: readonly { peer: string; bytes: number }[] }>;
  /** There will be something to fetch or to serve soon. */
  prepare(): void;
}

/** What is known of the machine while builds run. */
export interface BuildSurroundings {
  readonly usage: BuildUsage;
  /** Processes killed for want of memory since the machine started; undefined where nobody counts. */
  oomKills(): Promise<number | undefined>;
  memoryIsShort(): boolean;
  /** Free on the disk of the store, looked at anew; undefined where unknown. */
  freeDiskBytes(): Promise<number | undefined>;
}

export interface HeldLeaseComponents {
  clock: Clock;
  logger: Logger;
  fetcher: InputFetcher;
  connections: BuildConnections;
  surroundings: BuildSurroundings;
  settings: BuildSettings;
  /** Where builds run in a store that is not this machine's. */
  farStore?: FarStore | undefined;
  /** The build has ended; its outputs go from the other store to this machine's. */
  delivering(): void;
  /** Says something to the lease's home; rejects when the home is gone. */
  tell(message: WorkerMessage): Promise<void>;
}

/** What a lease has cost so far, as its result tells it. */
export interface LeaseCost {
  buildMs: number;
  fetchMs: number;
  fetched: { peer: string; bytes: number }[];
  cores?: number;
  cpuMs?: number;
  memoryPeakBytes?: number;
}

/** A lease as its worker holds it: brings its inputs, then builds it. */
export class HeldLease {
  readonly message: LeaseMessage;
  readonly home: string;
  readonly cost: LeaseCost = { buildMs: 0, fetchMs: 0, fetched: [] };
  /** Inputs that neither a member nor a substituter could give. */
  missing: string[] = [];
  readonly #components: HeldLeaseComponents;
  readonly #controller = new AbortController();
  #build: Promise<DerivationBuild> | undefined;

  constructor(home: string, message: LeaseMessage, components: HeldLeaseComponents) {
    this.home = home;
    this.message = message;
    this.#components = components;
  }

  get aborted(): boolean {
    return this.#controller.signal.aborted;
  }

  abort(): void {
    this.#controller.abort();
  }

  /**
   * Connects (rooting the inputs) and fetches what is missing.
   * @throws AgentError WORK_NO_ROOM; NixError, TransferError
   */
  async fetch(): Promise<void> {
    const { clock, connections, farStore, settings, surroundings } = this.#components;
    const { message } = this;
    const { signal } = this.#controller;
    const startedMs = clock.monotonic();
    this.#build = DerivationBuild.open({ lease: message, connections, settings, signal });
    // Together: either may fail before the other is there.
    const [build, freeBytes] = await Promise.all([this.#build, surroundings.freeDiskBytes()]);
    checkRoom(freeBytes, 0, message.outputBytes);
    if (farStore !== undefined) {
      const onPlan = (paths: number, planned: number): void =>
        this.#tell({ type: 'fetching', ...this.#ref, paths, bytes: planned });
      this.cost.fetched = (await farStore.bring(message, build.client, { signal, onPlan })).sources;
    } else this.cost.fetched = await this.#fetchMissing(build, freeBytes);
    this.cost.fetchMs = clock.monotonic() - startedMs;
    const bytes = this.cost.fetched.reduce((sum, source) => sum + source.bytes, 0);
    this.#tell({ type: 'fetched', ...this.#ref, bytes });
  }

  async #fetchMissing(
    build: DerivationBuild,
    freeBytes: number | undefined,
  ): Promise<{ peer: string; bytes: number }[]> {
    const { clock, fetcher } = this.#components;
    const missing = await build.missingInputs();
    if (missing.length === 0) return [];
    const teller = new FetchTeller(this.#ref, () => clock.monotonic());
    const { sources } = await fetcher.fetchClosure(missing, {
      signal: this.#controller.signal,
      onPlan: (paths, bytes) => {
        checkRoom(freeBytes, bytes, this.message.outputBytes);
        this.#tell(teller.plan(paths, bytes));
      },
      onProgress: (progress) => {
        const news = teller.progress(progress);
        if (news !== undefined) this.#tell(news);
      },
    });
    return [...sources];
  }

  /** Builds with so many cores. Whatever goes wrong is an outcome. */
  async build(cores: number): Promise<LeaseOutcome> {
    this.cost.cores = cores;
    const { clock, logger } = this.#components;
    const log = new LogBatch(clock, async (lines, phase) => {
      await this.#components
        .tell({ type: 'log', ...this.#ref, lines, ...(phase === undefined ? {} : { phase }) })
        // The home is gone: its grace decides over the build, the log has no reader any more.
        .catch(() => undefined);
    });
    try {
      const build = await this.#build;
      if (build === undefined) return machineFailure('the lease was never prepared');
      await using running = build;
      return await this.#watched(running, cores, log);
    } catch (error) {
      if (!this.aborted)
        logger.warn({ drvPath: this.message.drvPath, err: error }, 'a build could not be run');
      return machineFailure(error);
    }
  }

  /** Gives back what it holds. */
  release(): void {
    // A connection that never came about needs no closing.
    void this.#build?.then(
      (build) => build[Symbol.asyncDispose](),
      () => undefined,
    );
  }

  async #watched(build: DerivationBuild, cores: number, log: LogBatch): Promise<LeaseOutcome> {
    const { clock, surroundings } = this.#components;
    const killsBefore = surroundings.oomKills();
    const watch = surroundings.usage.watch(this.message.drvPath, build.outputPaths);
    const startedMs = clock.monotonic();
    let end: BuildEnd;
    try {
      end = await build.run(cores, {
        onLog: (line) => log.add(line),
        onPhase: (phase) => log.phase(phase),
      });
    } finally {
      this.cost.buildMs = clock.monotonic() - startedMs;
      Object.assign(this.cost, watch.stop());
    }
    // The daemon's own count, where it has one, has seen every process.
    if (end.cpuMs !== undefined) this.cost.cpuMs = end.cpuMs;
    await log.flush();
    if (end.type === 'built') {
      const paths = end.outputs.map(({ path }) => path);
      const { farStore, delivering } = this.#components;
      if (farStore !== undefined) {
        delivering();
        await farStore.deliver(paths, build.client);
      }
      return { type: 'built', outputs: end.outputs };
    }
    const [before, after] = await Promise.all([killsBefore, surroundings.oomKills()]);
    const killed = before !== undefined && after !== undefined && after > before;
    return failureOutcome(end.result, { killed, short: surroundings.memoryIsShort() });
  }

  get #ref(): { lease: string; attempt: number } {
    return { lease: this.message.lease, attempt: this.message.attempt };
  }

  #tell(message: WorkerMessage): void {
    this.#components.tell(message).catch((error: unknown) => {
      // The channel's own end tells the state machine; what was to be said is moot.
      this.#components.logger.debug({ err: error, home: this.home }, 'a message to a home was not sent');
    });
  }
}
