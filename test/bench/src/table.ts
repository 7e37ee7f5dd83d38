import type { Figure } from './figure.ts';
import { significant } from './statistics.ts';

const HEADER = ['figure', 'required', 'the mesh', '', 'bound'];

/**
 * The figures as lines of text: what is required, what was measured, what each rival needed in the same run and how many
 * times the mesh's figure that is.
 */
export function table(figures: readonly Figure[]): string[] {
  const rivals = [...new Set(figures.flatMap((figure) => figure.rivals.map(({ name }) => name)))];
  const rows = figures.map((figure) => [
    figure.title,
    figure.required === null ? '' : `<= ${amount(figure.required, figure)}`,
    amount(figure.value, figure),
    figure.met === null ? '' : figure.met ? 'met' : 'MISSED',
    figure.bound === null ? '' : amount(figure.bound, figure),
    ...rivals.map((name) => rivalCell(name, figure)),
  ]);
  return align([[...HEADER, ...rivals], ...rows]);
}

function rivalCell(name: string, figure: Figure): string {
  const rival = figure.rivals.find((candidate) => candidate.name === name);
  if (rival === undefined) return '';
  return `${amount(rival.value, figure)} (${significant(rival.value / figure.value)} x)`;
}

function amount(value: number, { unit }: Figure): string {
  return `${significant(value)} ${unit}`;
}

/** Columns as wide as their widest cell; all but the first flush right, as numbers are read. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    widths
      .map((width, column) =>
        column === 0 ? (row[0] ?? '').padEnd(width) : (row[column] ?? '').padStart(width),
      )
      .join('  ')
      .trimEnd(),
  );
}
