import { visibleLength } from './text.ts';

export interface Column {
  title: string;
  align?: 'left' | 'right';
}

/** A table as lines: columns as wide as their widest cell, two spaces between, nothing after the last. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const table = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, i) => Math.max(...table.map((row) => visibleLength(row[i] ?? ''))));
  return table.map((row) =>
    columns
      .map((column, i) => {
        const cell = row[i] ?? '';
        const space = ' '.repeat(widths[i]! - visibleLength(cell));
        return column.align === 'right' ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd(),
  );
}
