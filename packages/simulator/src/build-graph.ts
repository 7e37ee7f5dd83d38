/** What is to be built, one entry a derivation; columns have the same length. */
export interface BuildGraph {
  readonly name: string;
  readonly names: readonly string[];
  /** Indices of what each needs: always smaller than its own. */
  readonly dependencies: readonly (readonly number[])[];
  /** Milliseconds of one core of a machine of speed 1; `undefined` for a download. */
  readonly workMs: readonly (number | undefined)[];
  readonly outputBytes: readonly number[];
  readonly systems: readonly string[];
  readonly requiredFeatures: readonly (readonly string[])[];
}

/** Of a derivation that says nothing else. */
export const DEFAULT_SYSTEM = 'x86_64-linux';

export function systemsOf(graph: BuildGraph): string[] {
  return [...new Set(graph.systems)];
}
