import type { FinishedDerivation } from './finished-run.ts';
import type { PeerId, WorkerInfo } from './types.ts';

interface Change {
  readonly atMs: number;
  readonly running: number;
}

/** How many builds ran on each machine at any time of a job. */
export class SlotUse {
  readonly #machines: ReadonlyMap<PeerId, WorkerInfo>;
  readonly #changes = new Map<PeerId, Change[]>();

  constructor(derivations: readonly FinishedDerivation[], machines: ReadonlyMap<PeerId, WorkerInfo>) {
    this.#machines = machines;
    const steps = new Map<PeerId, { atMs: number; by: number }[]>();
    for (const { attempts } of derivations) {
      for (const { peerId, startedMs, endedMs } of attempts) {
        if (startedMs === null) continue;
        const list = steps.get(peerId) ?? [];
        steps.set(peerId, list);
        list.push({ atMs: startedMs, by: 1 }, { atMs: endedMs, by: -1 });
      }
    }
    for (const [peerId, list] of steps) {
      let running = 0;
      const sorted = list.sort((a, b) => a.atMs - b.atMs || a.by - b.by);
      this.#changes.set(
        peerId,
        sorted.map(({ atMs, by }) => {
          running += by;
          return { atMs, running };
        }),
      );
    }
  }

  /** Cuts `[fromMs, toMs)` where the number of free slots of any of these machines changes; says which had one. */
  pieces(
    peerIds: readonly PeerId[],
    fromMs: number,
    toMs: number,
  ): { readonly ms: number; readonly free: ReadonlySet<PeerId> }[] {
    const cuts = new Set([fromMs, toMs]);
    for (const peerId of peerIds) {
      const changes = this.#changes.get(peerId) ?? [];
      for (let i = firstAfter(changes, fromMs); i < changes.length && changes[i]!.atMs < toMs; i++)
        cuts.add(changes[i]!.atMs);
    }
    const times = [...cuts].sort((a, b) => a - b);
    return times.slice(0, -1).map((at, i) => ({
      ms: times[i + 1]! - at,
      free: new Set(peerIds.filter((peerId) => this.#freeAt(peerId, at))),
    }));
  }

  #freeAt(peerId: PeerId, atMs: number): boolean {
    const changes = this.#changes.get(peerId) ?? [];
    const running = changes[firstAfter(changes, atMs) - 1]?.running ?? 0;
    return running < (this.#machines.get(peerId)?.slots ?? 0);
  }
}

/** Index of the first change after `atMs`. */
function firstAfter(changes: readonly Change[], atMs: number): number {
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (changes[middle]!.atMs <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
