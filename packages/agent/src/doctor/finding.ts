/** How bad it is: `broken` keeps this machine from doing its part, a `warning` costs something, `skipped` could not be looked at. */
export type FindingLevel = 'ok' | 'warning' | 'broken' | 'skipped';

/** One thing that was looked at. */
export interface Finding {
  /** Stable, for programs. */
  readonly check: string;
  readonly level: FindingLevel;
  /** What is so, in one sentence without a full stop. */
  readonly finding: string;
  /** What to do about it. */
  readonly mend?: string;
}

export function ok(check: string, finding: string): Finding {
  return { check, level: 'ok', finding };
}

export function warning(check: string, finding: string, mend: string): Finding {
  return { check, level: 'warning', finding, mend };
}

export function broken(check: string, finding: string, mend: string): Finding {
  return { check, level: 'broken', finding, mend };
}

export function skipped(check: string, finding: string): Finding {
  return { check, level: 'skipped', finding };
}
