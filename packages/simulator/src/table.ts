import type { Figure } from './figures.ts';
import type { Summary } from './summary.ts';

type Column<Row> = readonly [title: string, cell: (row: Row) => string];

const COLUMNS: readonly Column<Summary>[] = [
  ['graph', (s) => s.graph],
  ['mesh', (s) => s.mesh],
  ['history', (s) => s.history],
  ['policy', (s) => s.policy],
  ['mean', (s) => s.meanRatio.toFixed(3)],
  ['worst', (s) => s.worstRatio.toFixed(3)],
  ['best', (s) => s.bestRatio.toFixed(3)],
  ['wall', (s) => duration(s.meanWallMs)],
  ['bound', (s) => duration(s.meanBoundMs)],
  ['waste %', (s) => s.wastePercent.toFixed(1)],
  ['idle %', (s) => s.idlePercent.toFixed(1)],
  ['races', (s) => s.races.toFixed(0)],
  ['GB', (s) => s.gigabytesMoved.toFixed(1)],
  ['decisions/s', (s) => (s.decisionsPerSecond === undefined ? '-' : s.decisionsPerSecond.toFixed(0))],
  ['real s', (s) => s.realSeconds.toFixed(1)],
  ['trace', (s) => s.traceHash],
];
const LABELS = 4;

const FIGURE_COLUMNS: readonly Column<Figure>[] = [
  ['figure', (f) => f.title],
  ['worst at', (f) => f.where],
  ['met', (f) => (f.met ? 'yes' : 'NO')],
  ['value', (f) => f.value.toFixed(3)],
  ['required', (f) => `<= ${f.required}`],
];
const FIGURE_LABELS = 3;

/** Columns of text: ratios are wall time over bound. */
export function table(summaries: readonly Summary[]): string[] {
  return layout(COLUMNS, LABELS, summaries);
}

export function figureTable(figures: readonly Figure[]): string[] {
  return layout(FIGURE_COLUMNS, FIGURE_LABELS, figures);
}

/** The first columns to the left, figures to the right. */
function layout<Row>(columns: readonly Column<Row>[], labels: number, entries: readonly Row[]): string[] {
  const rows = [
    columns.map(([title]) => title),
    ...entries.map((row) => columns.map(([, cell]) => cell(row))),
  ];
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i < labels ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

function duration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 3_600_000) return `${(ms / 60_000).toFixed(1)} min`;
  return `${(ms / 3_600_000).toFixed(2)} h`;
}
