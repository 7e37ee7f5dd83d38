import type { Figure, RivalFigure } from './figure.ts';
import { significant } from './statistics.ts';

const HEADER = ['figure', 'required', 'the mesh', '', 'bound'];

/**
 * The figures as lines of text: what is required, what was measured, what each rival needed in the same run and how many
 * times the mesh's figure that is. Rivals of many figures get a column each (`columns`), others are named in the last one.
 */
export function table(figures: readonly Figure[], columns: readonly string[]): string[] {
  const shown = columns.filter((name) =>
    figures.some(({ rivals }) => rivals.some((rival) => rival.name === name)),
  );
  const rows = figures.map((figure) => {
    const { rivals } = figure;
    const others = rivals.filter(({ name }) => !shown.includes(name));
    return [
      figure.title,
      figure.required === null ? '' : `<= ${amount(figure.required, figure)}`,
      amount(figure.value, figure),
      figure.met === null ? '' : figure.met ? 'met' : 'MISSED',
      figure.bound === null ? '' : amount(figure.bound, figure),
      ...shown.map((name) =>
        beside(
          rivals.find((rival) => rival.name === name),
          figure,
        ),
      ),
      others.map((rival) => `${rival.name}: ${beside(rival, figure)}`).join(', '),
    ];
  });
  return align([[...HEADER, ...shown, ''], ...rows]);
}

function beside(rival: RivalFigure | undefined, figure: Figure): string {
  if (rival === undefined) return '';
  return `${amount(rival.value, figure)} (${significant(rival.value / figure.value)} x)`;
}

function amount(value: number, { unit }: Figure): string {
  return `${significant(value)} ${unit}`;
}

/** Columns as wide as their widest cell; all but the first and the last flush right, as numbers are read. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    widths
      .map((width, column) => {
        const cell = row[column] ?? '';
        return column === 0 || column === widths.length - 1 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
