import type { DrvPath } from './types.ts';

/** The derivations need each other in a circle, so none of them can be built first. */
export class CycleError extends Error {
  readonly code = 'SCHEDULE_CYCLE';
  /** The circle in order: each depends on the next, the last on the first. */
  readonly path: readonly DrvPath[];

  constructor(path: readonly DrvPath[]) {
    super(
      `These derivations depend on each other in a circle, so none can be built; correct the expression: ${[
        ...path,
        path[0],
      ].join(' -> ')}.`,
    );
    this.name = 'CycleError';
    this.path = path;
  }
}
