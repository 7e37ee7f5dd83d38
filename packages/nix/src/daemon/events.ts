/** Kinds of activity, by Nix's numbers (`src/libutil/include/nix/util/logging.hh`). */
const ACTIVITIES = {
  100: 'copy-path',
  101: 'file-transfer',
  102: 'realise',
  103: 'copy-paths',
  104: 'builds',
  105: 'build',
  106: 'optimise-store',
  107: 'verify-paths',
  108: 'substitute',
  109: 'query-path-info',
  110: 'post-build-hook',
  111: 'build-waiting',
  112: 'fetch-tree',
  113: 'fetch-to-store',
} as const;

/** Kinds of result; a build's log lines (101) and post-build hook lines (107) are events of their own. */
const RESULTS = {
  100: 'file-linked',
  102: 'untrusted-path',
  103: 'corrupted-path',
  104: 'phase',
  105: 'progress',
  106: 'expected',
  108: 'fetch-status',
  109: 'fetch-to-store',
} as const;

const BUILD_LOG_LINE = 101;
const POST_BUILD_LOG_LINE = 107;

export type Activity = (typeof ACTIVITIES)[keyof typeof ACTIVITIES] | 'unknown';
export type ActivityResult = (typeof RESULTS)[keyof typeof RESULTS] | 'unknown';
export type Field = number | string;

/** What a daemon tells while it works. Ids are small numbers, unique on one connection; 0 is no activity. */
export type DaemonEvent =
  /** A line the builder (or, with `hook`, the post-build hook) printed, as it was printed. */
  | { readonly type: 'log'; readonly id: number; readonly line: string; readonly hook: boolean }
  /** The builder entered a phase (`unpackPhase`, `buildPhase`, …). */
  | { readonly type: 'phase'; readonly id: number; readonly phase: string }
  /** A message of the daemon itself, without colours. */
  | { readonly type: 'text'; readonly text: string }
  | {
      readonly type: 'start';
      readonly id: number;
      /** 0 error … 3 info … 7 vomit. */
      readonly level: number;
      readonly activity: Activity;
      readonly text: string;
      readonly fields: readonly Field[];
      readonly parent: number;
    }
  | { readonly type: 'stop'; readonly id: number }
  | {
      readonly type: 'result';
      readonly id: number;
      readonly result: ActivityResult;
      readonly fields: readonly Field[];
    };

export function activityOf(code: number): Activity {
  return ACTIVITIES[code as keyof typeof ACTIVITIES] ?? 'unknown';
}

/** The event for a result message: log lines and phases get types of their own. */
export function resultEvent(id: number, code: number, fields: readonly Field[]): DaemonEvent {
  const [first] = fields;
  if ((code === BUILD_LOG_LINE || code === POST_BUILD_LOG_LINE) && typeof first === 'string') {
    return { type: 'log', id, line: first, hook: code === POST_BUILD_LOG_LINE };
  }
  const result: ActivityResult = RESULTS[code as keyof typeof RESULTS] ?? 'unknown';
  if (result === 'phase' && typeof first === 'string') return { type: 'phase', id, phase: first };
  return { type: 'result', id, result, fields };
}
