import type { DerivationNode } from '@mesh/schedule';
import type { PlannedDerivation } from '../job/planner.ts';

/** The derivations of the jobs under way, and which of them makes which path. */
export class Plans {
  readonly #planned = new Map<string, PlannedDerivation>();
  readonly #producers = new Map<string, string>();

  add(derivations: readonly PlannedDerivation[]): void {
    for (const planned of derivations) {
      this.#planned.set(planned.node.drvPath, planned);
      for (const output of planned.node.outputs) this.#producers.set(output, planned.node.drvPath);
    }
  }

  of(drvPath: string): PlannedDerivation | undefined {
    return this.#planned.get(drvPath);
  }

  all(): Iterable<PlannedDerivation> {
    return this.#planned.values();
  }

  /** What is predicted of a derivation now. */
  predicted(drvPath: string, prediction: Pick<DerivationNode, 'predictedMs' | 'history'>): void {
    const planned = this.#planned.get(drvPath);
    if (planned !== undefined) planned.node = { ...planned.node, ...prediction };
  }

  /** The derivation with this output. */
  producerOf(path: string): string | undefined {
    return this.#producers.get(path);
  }

  /** Whether no machine has this path for this home: each that needs it gets it from substituters of its own. */
  isLeftToUpstream(path: string): boolean {
    const producer = this.#producers.get(path);
    return producer !== undefined && this.#planned.get(producer)?.node.heldBy !== undefined;
  }

  /** What was left to substituters is to be got here; false where it was so already. */
  isFetchedAfterAll(drvPath: string): boolean {
    const planned = this.#planned.get(drvPath);
    if (planned?.node.heldBy === undefined) return false;
    const { heldBy: _, ...node } = planned.node;
    planned.node = node;
    return true;
  }

  /** A job is over: what `isNeeded` by no other goes. A home that always has some job must not keep all it ever had. */
  forget(drvPaths: Iterable<string>, isNeeded: (drvPath: string) => boolean): void {
    for (const drvPath of drvPaths) {
      if (isNeeded(drvPath)) continue;
      for (const output of this.#planned.get(drvPath)?.node.outputs ?? []) this.#producers.delete(output);
      this.#planned.delete(drvPath);
    }
  }
}
