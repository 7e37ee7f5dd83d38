import { CLOCK_SAMPLES } from './constants.ts';

/**
 * How far members' clocks are ahead of ours, by the times their records bear. A record that took long on its way looks like a clock
 * that is behind: of the most recent ones the best is taken.
 */
export class MemberClocks {
  readonly #aheadMs = new Map<string, number[]>();

  /** A record came whose sender's clock showed `sequence`, and ours `nowMs`, both wall-clock milliseconds. */
  heard({ peerId, sequence }: { readonly peerId: string; readonly sequence: number }, nowMs: number): void {
    const samples = [...(this.#aheadMs.get(peerId) ?? []), sequence - nowMs];
    this.#aheadMs.set(peerId, samples.slice(-CLOCK_SAMPLES));
  }

  /** Of a member that was heard at least twice: its first record may be one that somebody kept. */
  aheadMs(peerId: string): number | undefined {
    const samples = this.#aheadMs.get(peerId) ?? [];
    return samples.length < 2 ? undefined : Math.max(...samples);
  }
}
