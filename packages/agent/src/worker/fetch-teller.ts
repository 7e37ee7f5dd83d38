import type { FetchProgress } from '@mesh/transfer';
import { MAX_TOLD_SOURCES, type WorkerMessage } from '@mesh/wire';
import { PROGRESS_INTERVAL_MS } from '../constants.ts';

type FetchingMessage = Extract<WorkerMessage, { type: 'fetching' }>;

/** What a home is told of the fetch of one lease: what is to come at once, how far that is now and then. */
export class FetchTeller {
  readonly #ref: { readonly lease: string; readonly attempt: number };
  readonly #nowMs: () => number;
  #toldMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs Monotonic. */
  constructor(ref: { readonly lease: string; readonly attempt: number }, nowMs: () => number) {
    this.#ref = ref;
    this.#nowMs = nowMs;
  }

  plan(paths: number, bytes: number): FetchingMessage {
    return { type: 'fetching', ...this.#ref, paths, bytes };
  }

  /** Undefined where the home was told a moment ago. */
  progress(progress: FetchProgress): FetchingMessage | undefined {
    const nowMs = this.#nowMs();
    if (nowMs - this.#toldMs < PROGRESS_INTERVAL_MS) return undefined;
    this.#toldMs = nowMs;
    const { pathsDone, pathsTotal, bytesDone, bytesTotal, bytesPerS } = progress;
    const sources = progress.sources.toSorted((a, b) => b.bytes - a.bytes).slice(0, MAX_TOLD_SOURCES);
    const done = { paths: pathsDone, bytes: bytesDone, bytesPerS, sources };
    return { ...this.plan(pathsTotal, bytesTotal), done };
  }
}
