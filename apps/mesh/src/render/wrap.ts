/**
 * A sentence as lines of at most `columns` characters, broken at spaces; lines after the first begin with `indent`. A word longer than a
 * line gets one to itself: a path cut in two is of no use.
 */
export function wrapText(text: string, columns: number, indent = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line.trim() === '' || longer.length <= columns) {
      line = line.trim() === '' ? `${line}${word}` : longer;
      continue;
    }
    lines.push(line);
    line = `${indent}${word}`;
  }
  return [...lines, line];
}
