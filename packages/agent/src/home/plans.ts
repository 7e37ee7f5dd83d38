import { printDerivation, withInputsResolved } from '@mesh/nix';
import type { DerivationNode } from '@mesh/schedule';
import type { PlannedDerivation } from '../job/planner.ts';

/** The derivations of the jobs under way, and which of them makes which path. */
export class Plans {
  readonly #planned = new Map<string, PlannedDerivation>();
  readonly #producers = new Map<string, string>();
  /** Output paths by name of derivations that do not say them. */
  readonly #made = new Map<string, ReadonlyMap<string, string>>();

  add(derivations: readonly PlannedDerivation[]): void {
    for (const planned of derivations) {
      this.#planned.set(planned.node.drvPath, planned);
      for (const output of planned.node.outputs) this.#producers.set(output, planned.node.drvPath);
    }
  }

  of(drvPath: string): PlannedDerivation | undefined {
    return this.#planned.get(drvPath);
  }

  /** Notes what the outputs of a derivation that does not say it came to. */
  made(drvPath: string, outputs: ReadonlyMap<string, string>): void {
    this.#made.set(drvPath, outputs);
    for (const path of outputs.values()) this.#producers.set(path, drvPath);
  }

  /** As it goes to a worker: one whose paths float has in it what its inputs came to. */
  toBuild(drvPath: string): PlannedDerivation | undefined {
    const planned = this.#planned.get(drvPath);
    const floating = planned?.floating;
    if (planned === undefined || floating === undefined) return planned;
    const pathOf = (input: string, name: string): string | undefined =>
      this.#made.get(input)?.get(name) ?? floating.get(`${input}!${name}`);
    const derivation = withInputsResolved(planned.derivation, pathOf);
    if (derivation === undefined)
      throw new Error(`the inputs of ${drvPath} are said to be built and have no paths`);
    return { ...planned, derivation, bytes: printDerivation(derivation), inputs: derivation.inputSrcs };
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
      for (const path of this.#made.get(drvPath)?.values() ?? []) this.#producers.delete(path);
      this.#made.delete(drvPath);
      this.#planned.delete(drvPath);
    }
  }
}
