import type { WorkerInfo } from '@mesh/schedule';

/** The workers that have introduced themselves to a home, as it sees them now; says when that changes. */
export class KnownWorkers {
  readonly #workers = new Map<string, WorkerInfo>();
  readonly #listeners = new Set<() => void>();

  /** By peer id. */
  all(): ReadonlyMap<string, WorkerInfo> {
    return this.#workers;
  }

  set(worker: WorkerInfo): void {
    this.#workers.set(worker.peerId, worker);
  }

  delete(peerId: string): void {
    this.#workers.delete(peerId);
  }

  /** Calls `listener` whenever a worker came, changed or went; returns the way to stop that. */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called when the scheduler has heard of it too. */
  changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
