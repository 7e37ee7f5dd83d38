import type { Derivation } from '@mesh/nix';
import type { DerivationNode, DerivationShape, Prediction } from '@mesh/schedule';

/** A derivation and the names of its outputs that somebody wants; empty means all of them. */
export interface Wanted {
  drvPath: string;
  outputs: string[];
}

/** A derivation of a job: what the scheduler sees, and what a lease needs. */
export interface PlannedDerivation {
  node: DerivationNode;
  derivation: Derivation;
  /** The `.drv` file as it stands in the store. */
  bytes: Uint8Array;
  method: 'build' | 'realise';
  /**
   * Its outputs get their paths when it is built, anywhere, and by then its inputs have theirs: here those that are known in advance, by
   * `….drv!out`.
   */
  floating?: ReadonlyMap<string, string>;
  /** What a prediction goes by where there is no history. */
  shape: DerivationShape;
  /** Paths this derivation reads: its sources and the wanted outputs of its input derivations (where known in advance). */
  inputs: string[];
  /** Those of them that no job builds: substituters may have them, wherever it is built. */
  upstream: ReadonlySet<string>;
}

/** What planning found out about a batch of wanted derivations. */
export interface Plan {
  /** With `heldBy` in the node: substituters offer it, and whoever builds what needs it gets it from there; built only where that fails. */
  derivations: PlannedDerivation[];
  /** Outputs that need no build because a member has them: path to peer ids. */
  held: Map<string, string[]>;
  /** Derivations looked at whose wanted outputs this store has already. */
  validCount: number;
}

export interface PlannerComponents {
  /** Which of these store paths are valid here. */
  queryValidPaths(paths: string[]): Promise<Set<string>>;
  /** Store paths that this machine's own substituters offer, among what the given derivations need, with their NAR bytes. */
  querySubstitutable(wanted: Wanted[]): Promise<ReadonlyMap<string, number>>;
  /** Which connected members hold which of these paths. */
  whoHas(paths: string[]): Promise<Map<string, string[]>>;
  readDerivationFile?(path: string): Promise<Uint8Array>;
  /**
   * Those of these derivations whose wanted outputs were built before and are valid here, though no `.drv` says their paths. Absent where
   * this machine's Nix could not be told what others built.
   */
  queryRealised?(wanted: Wanted[]): Promise<ReadonlySet<string>>;
  /** `.drv` files that are given by content, with all their inputs among their sources. */
  given?: ReadonlyMap<string, Uint8Array>;
  /** What earlier builds tell about one of this name, or what its shape does. */
  predict(name: string, system: string, shape: DerivationShape): Prediction;
  /** Resolves when predictions rest on what was remembered. */
  remembered?(): Promise<void>;
}

/** Paths that members were said to hold and could not give: they are not asked for them again, nor, if others can, to build them. */
export type Distrust = ReadonlyMap<string, readonly string[]>;
