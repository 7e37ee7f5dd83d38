import { median } from './statistics.ts';

/** Units of figures; `x` is a multiple of something the title names, `%` a share of one core, `times` a count. */
export type Unit = 's' | 'ms' | 'x' | 'MiB' | '%' | 'times';

/** What somebody else needed for the same work, in the same run, in the figure's unit. */
export interface RivalFigure {
  readonly name: string;
  readonly value: number;
  readonly runs: readonly number[];
}

/** One measured figure. Less is better in all of them. */
export interface Figure {
  readonly name: string;
  /** What was measured, one line. */
  readonly title: string;
  readonly unit: Unit;
  /** The median of `runs`. */
  readonly value: number;
  readonly runs: readonly number[];
  /** What nothing could beat, null where that is not known. */
  readonly bound: number | null;
  /** The most it may be; null for a figure that is only for information. */
  readonly required: number | null;
  /** Null where nothing is required. */
  readonly met: boolean | null;
  readonly rivals: readonly RivalFigure[];
}

export interface FigureOptions {
  readonly bound?: number;
  readonly required?: number;
  /** Runs of the rivals by their names. */
  readonly rivals?: Readonly<Record<string, readonly number[]>>;
}

/** @throws {BenchError} `BENCH_NO_RUNS` */
export function figure(
  name: string,
  title: string,
  unit: Unit,
  runs: readonly number[],
  { bound, required, rivals = {} }: FigureOptions = {},
): Figure {
  const value = median(runs);
  return {
    name,
    title,
    unit,
    value,
    runs,
    bound: bound ?? null,
    required: required ?? null,
    met: required === undefined ? null : value <= required,
    rivals: Object.entries(rivals).map(([rival, times]) => ({
      name: rival,
      value: median(times),
      runs: times,
    })),
  };
}
