import { FetchMeter } from '../fetch-progress.ts';
import type { FetchOptions } from '../fetcher.ts';

/** What one side of a fetch has done. */
export interface FetchPart {
  plan(paths: number, bytes: number): void;
  came(done: { paths: number; bytes: number; sources: readonly { peer: string; bytes: number }[] }): void;
}

/** The progress of several fetches as that of one. */
export class JointProgress {
  readonly #options: FetchOptions;
  readonly #meter: FetchMeter | undefined;
  readonly #plans = new Map<FetchPart, { paths: number; bytes: number }>();
  #paths = 0;
  #bytes = 0;

  constructor(now: () => number, options: FetchOptions) {
    this.#options = options;
    this.#meter = options.onProgress && new FetchMeter(now, options.onProgress);
  }

  /** For one of the fetches. */
  part(): FetchPart {
    const known = new Map<string, number>();
    let paths = 0;
    const part: FetchPart = {
      plan: (count, bytes) => {
        this.#plans.set(part, { paths: count, bytes });
        const plans = [...this.#plans.values()];
        const total = {
          paths: plans.reduce((sum, plan) => sum + plan.paths, 0),
          bytes: plans.reduce((sum, plan) => sum + plan.bytes, 0),
        };
        this.#options.onPlan?.(total.paths, total.bytes);
        this.#meter?.planned(Math.max(0, total.paths - this.#paths), Math.max(0, total.bytes - this.#bytes));
      },
      came: (done) => {
        for (const { peer, bytes } of done.sources) {
          const more = bytes - (known.get(peer) ?? 0);
          known.set(peer, bytes);
          this.#bytes += more;
          this.#meter?.came(peer, more);
        }
        for (; paths < done.paths; paths += 1) {
          this.#paths += 1;
          this.#meter?.pathCame();
        }
      },
    };
    return part;
  }
}
