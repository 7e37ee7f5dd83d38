import type { Clock } from './clock.ts';
import { MAX_ADDRESSES_PER_PEER, MAX_STRANGERS, STRANGER_MEMORY_MS } from './constants.ts';
import type { StrangerView } from './mesh-net.ts';

/** Peers that are no members: seen by discovery, or turned away at the door. Bounded; the longest unseen give way. */
export class Strangers {
  readonly #clock: Clock;
  readonly #seen = new Map<string, StrangerView>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns whether it was not known before */
  saw(peerId: string, addresses: readonly string[], meshId?: string): boolean {
    const known = this.#seen.get(peerId);
    const view: StrangerView = {
      peerId,
      addresses: [...new Set([...addresses, ...(known?.addresses ?? [])])].slice(0, MAX_ADDRESSES_PER_PEER),
      lastSeenMs: this.#clock.now(),
    };
    const mesh = meshId ?? known?.meshId;
    if (mesh !== undefined) view.meshId = mesh;
    this.#seen.delete(peerId);
    this.#seen.set(peerId, view);
    while (this.#seen.size > MAX_STRANGERS) this.#seen.delete(this.#seen.keys().next().value!);
    return known === undefined;
  }

  /** It says that it leaves. */
  left(peerId: string): void {
    this.#seen.delete(peerId);
  }

  list(): StrangerView[] {
    const since = this.#clock.now() - STRANGER_MEMORY_MS;
    return [...this.#seen.values()].filter(({ lastSeenMs }) => lastSeenMs >= since);
  }
}
