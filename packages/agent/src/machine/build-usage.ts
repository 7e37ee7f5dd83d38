import type { Clock, Timer } from '@mesh/net';
import { type BuildIdentity, BuildProcesses } from './build-processes.ts';
import {
  FIRST_SAMPLE_MS,
  FORK_SUSPECT_BYTES,
  MAX_SAMPLE_INTERVAL_MS,
  MAX_SAMPLED_PROCESSES,
  SAMPLE_INTERVAL_MS,
  SAMPLE_SHARE,
} from './constants.ts';
import { ProcessMemory } from './process-memory.ts';
import { ProcessTable, type ProcessUse } from './process-table.ts';

/** What a build has used; empty where it was too short to be seen, or this machine does not show it. */
export interface BuildUse {
  /** Processor time of all its processes. */
  cpuMs?: number;
  /** The most memory all of them had at a time, without files in the page cache. */
  memoryPeakBytes?: number;
}

export interface BuildWatch {
  /** Ends the watch; asked again it answers the same. */
  stop(): BuildUse;
}

/** Watches what running builds use. */
export interface BuildUsage {
  /** @param outputs absolute paths of the outputs; empty where they are not known before the build */
  watch(drvPath: string, outputs: readonly string[]): BuildWatch;
}

export interface BuildUsageComponents {
  clock: Clock;
  /** procfs, where it is not /proc. */
  procDir?: string;
  /** The user this process runs as. */
  ownUser: number;
}

/** With some 200 processes. */
const USUAL_COST_MS = 1;

/**
 * Looks at the processes of all watched builds about once a second, and at none when nothing is watched. Needs procfs, and to be root or
 * the user that builds; elsewhere it sees nothing and says nothing.
 */
export class SampledBuildUsage implements BuildUsage {
  readonly #clock: Clock;
  readonly #table: ProcessTable;
  readonly #memory: ProcessMemory;
  readonly #processes: BuildProcesses;
  readonly #watched = new Set<WatchedBuild>();
  #timer: Timer | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  /** What a look takes, as far as it is known. */
  #costMs = USUAL_COST_MS;
  /** The cost of the last look forbids another before. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor({ clock, procDir, ownUser }: BuildUsageComponents) {
    this.#clock = clock;
    this.#table = new ProcessTable(procDir);
    this.#memory = new ProcessMemory(procDir);
    this.#processes = new BuildProcesses(this.#table, this.#memory, ownUser);
  }

  watch(drvPath: string, outputs: readonly string[]): BuildWatch {
    const build = new WatchedBuild({ drvPath, outputs }, this.#clock.monotonic(), this.#memory);
    this.#watched.add(build);
    this.#sampleIn(FIRST_SAMPLE_MS);
    return {
      stop: () => {
        if (this.#watched.delete(build) && this.#watched.size === 0) this.#rest();
        return build.end(this.#clock.monotonic());
      },
    };
  }

  #sampleIn(delayMs: number): void {
    const nowMs = this.#clock.monotonic();
    const dueMs = Math.max(nowMs + delayMs, this.#notBeforeMs);
    if (dueMs >= this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = this.#clock.after(dueMs - nowMs, () => this.#sample());
  }

  #rest(): void {
    this.#timer?.cancel();
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  #sample(): void {
    this.#rest();
    const startMs = this.#clock.monotonic();
    const looking = this.#look();
    const endMs = this.#clock.monotonic();
    // On a machine that builds most long looks were interrupted ones: the cost is believed to grow only as it does again and again.
    this.#costMs = Math.max(USUAL_COST_MS, Math.min(endMs - startMs, this.#costMs * 2));
    this.#notBeforeMs = endMs + Math.min(this.#costMs / SAMPLE_SHARE, MAX_SAMPLE_INTERVAL_MS);
    this.#sampleIn(SAMPLE_INTERVAL_MS);
    void looking.then((found) => {
      // Builds known only now are seen at once, not a second later.
      if (found && this.#watched.size > 0) void this.#look();
    });
  }

  #look(): Promise<boolean> {
    const builds = new Map([...this.#watched].map((build) => [build.identity, build]));
    const { found, looking } = this.#processes.find([...builds.keys()]);
    let left = MAX_SAMPLED_PROCESSES;
    for (const [identity, pids] of found) {
      const seen = new Map<number, ProcessUse>();
      for (const pid of pids.slice(0, left)) {
        const use = this.#table.use(pid);
        if (use !== undefined) seen.set(pid, use);
      }
      left -= seen.size;
      builds.get(identity)?.saw(seen, this.#clock.monotonic());
    }
    return looking;
  }
}

/** What one build was seen to use so far. */
class WatchedBuild {
  readonly identity: BuildIdentity;
  readonly #startMs: number;
  readonly #memory: ProcessMemory;
  #cpuMs: number | undefined;
  #peakBytes = 0;
  #seenMs = 0;
  /** When it was first found to have no processes any more. */
  #goneMs: number | undefined;
  #askingExactly = false;
  #answer: BuildUse | undefined;

  constructor(identity: BuildIdentity, startMs: number, memory: ProcessMemory) {
    this.identity = identity;
    this.#startMs = startMs;
    this.#memory = memory;
  }

  /** All its processes at one moment. */
  saw(processes: ReadonlyMap<number, ProcessUse>, nowMs: number): void {
    if (processes.size === 0) {
      if (this.#cpuMs !== undefined) this.#goneMs ??= nowMs;
      return;
    }
    this.#goneMs = undefined;
    this.#seenMs = nowMs;
    const uses = [...processes.values()];
    // A process that nobody waits for takes its time with it.
    this.#cpuMs = Math.max(
      this.#cpuMs ?? 0,
      uses.reduce((sum, use) => sum + use.cpuMs, 0),
    );
    const bytes = uses.reduce((sum, use) => sum + use.privateBytes, 0);
    if (bytes <= this.#peakBytes) return;
    const suspects = [...processes].filter(([, use]) => use.privateBytes >= FORK_SUSPECT_BYTES);
    if (suspects.length < 2) this.#peakBytes = bytes;
    else void this.#askExactly(bytes, new Map(suspects));
  }

  /** `bytes` counts memory that forks share several times; it is too much by what the suspects share. */
  async #askExactly(bytes: number, suspects: ReadonlyMap<number, ProcessUse>): Promise<void> {
    if (this.#askingExactly) return;
    this.#askingExactly = true;
    const exact = await Promise.all(
      [...suspects].map(async ([pid, { privateBytes }]) => {
        const proportional = await this.#memory.proportionalBytes(pid);
        return proportional === undefined ? 0 : Math.max(0, privateBytes - proportional);
      }),
    );
    this.#askingExactly = false;
    const shared = exact.reduce((sum, each) => sum + each, 0);
    this.#peakBytes = Math.max(this.#peakBytes, bytes - shared);
  }

  end(nowMs: number): BuildUse {
    this.#answer ??= this.#total(nowMs);
    return this.#answer;
  }

  /** What came after the last look, a second at most, is taken to have gone on as the whole did. */
  #total(nowMs: number): BuildUse {
    if (this.#cpuMs === undefined) return {};
    const unseenMs = this.#goneMs === undefined ? nowMs - this.#seenMs : (this.#goneMs - this.#seenMs) / 2;
    const rate = this.#cpuMs / Math.max(1, this.#seenMs - this.#startMs);
    return {
      cpuMs: Math.round(this.#cpuMs + rate * unseenMs),
      ...(this.#peakBytes === 0 ? {} : { memoryPeakBytes: this.#peakBytes }),
    };
  }
}
