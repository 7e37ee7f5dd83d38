import type { PlannerComponents } from './planner.ts';

/** What a job is given beside its options by those who submit in this process: what arrives from other clients than `mesh build`. */
export interface GivenWork {
  /**
   * Derivations by content, as `.drv` files without input derivations: their inputs are all among their sources and valid here. The
   * `.drv` itself need not be in this store.
   */
  readonly derivations?: ReadonlyMap<string, Uint8Array>;
  /** Nothing comes into this store: results stay with whoever built them. */
  readonly resultsStay?: boolean;
}

/** The store, as a planner sees it, with derivations given by content before those in the store. */
export function withGiven(store: PlannerComponents, { derivations }: GivenWork): PlannerComponents {
  if (derivations === undefined) return store;
  return {
    ...store,
    given: derivations,
    // Whoever sends a derivation by content has asked its own substituters; the daemon here does not know the `.drv`.
    querySubstitutable: async () => new Map(),
    queryRealised: async () => new Set(),
  };
}
