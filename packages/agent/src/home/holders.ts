import { isBuilderId } from '../agentless/builder-id.ts';
import { MAX_HELD_PATHS, MAX_HOLDERS } from '../constants.ts';

/** Which members have which store paths, as far as this home has heard. A guess that is wrong costs a question, never a failure. */
export class Holders {
  readonly #peers = new Map<string, Set<string>>();

  /** A machine without an agent gives nothing to anybody: what it built is at home as well. */
  add(path: string, peerId: string): void {
    if (isBuilderId(peerId)) return;
    const peers = this.#peers.get(path) ?? new Set<string>();
    if (peers.size < MAX_HOLDERS || peers.has(peerId)) peers.add(peerId);
    // Deleting first keeps the map in order of last mention, oldest first.
    this.#peers.delete(path);
    this.#peers.set(path, peers);
    if (this.#peers.size > MAX_HELD_PATHS) this.#peers.delete(this.#peers.keys().next().value!);
  }

  of(path: string): string[] {
    return [...(this.#peers.get(path) ?? [])];
  }

  /** A member is gone, and with it what it had. */
  dropPeer(peerId: string): void {
    for (const [path, peers] of this.#peers) {
      peers.delete(peerId);
      if (peers.size === 0) this.#peers.delete(path);
    }
  }

  /** Nobody has this path any more. */
  dropPath(path: string): void {
    this.#peers.delete(path);
  }

  clear(): void {
    this.#peers.clear();
  }
}
