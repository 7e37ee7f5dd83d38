import type { MeshNet } from '@mesh/net';
import { CLOCK_SAMPLES } from './constants.ts';

/**
 * How far members' clocks are ahead of ours, by the times their records bear. A record that took long on its way looks like a clock
 * that is behind: the most recent records' best is taken.
 */
export class MemberClocks {
  readonly #aheadMs = new Map<string, number[]>();
  readonly #net: Pick<MeshNet, 'nameOf' | 'connectedMembers'>;

  /** @param now wall-clock milliseconds */
  constructor(net: Pick<MeshNet, 'events' | 'nameOf' | 'connectedMembers'>, now: () => number) {
    this.#net = net;
    net.events.on('record', ({ peerId, sequence }) => {
      const samples = [...(this.#aheadMs.get(peerId) ?? []), sequence - now()];
      this.#aheadMs.set(peerId, samples.slice(-CLOCK_SAMPLES));
    });
  }

  /** Of connected members that were heard at least twice: the first record may be one that somebody kept. */
  view(): { name: string; aheadMs: number }[] {
    return this.#net.connectedMembers().flatMap((peerId) => {
      const samples = this.#aheadMs.get(peerId) ?? [];
      const name = this.#net.nameOf(peerId);
      return samples.length < 2 || name === undefined ? [] : [{ name, aheadMs: Math.max(...samples) }];
    });
  }
}
