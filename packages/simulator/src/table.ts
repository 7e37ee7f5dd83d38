import type { Summary } from './summary.ts';

type Column = readonly [title: string, cell: (summary: Summary) => string];

const COLUMNS: readonly Column[] = [
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

/** Columns of text; the first four to the left, figures to the right. */
export function table(summaries: readonly Summary[]): string[] {
  const rows = [COLUMNS.map(([title]) => title), ...summaries.map((s) => COLUMNS.map(([, cell]) => cell(s)))];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i < 4 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

function duration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 3_600_000) return `${(ms / 60_000).toFixed(1)} min`;
  return `${(ms / 3_600_000).toFixed(2)} h`;
}
