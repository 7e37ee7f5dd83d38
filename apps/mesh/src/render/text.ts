const ESC = '\u001b';
/** Colours and weights: the only sequences that stay. */
const SGR = `${ESC}\\[[0-9;:]*m`;
const SGR_ALL = new RegExp(SGR, 'g');
const SGR_SPLIT = new RegExp(`(${SGR})`);
/** Every escape sequence of ECMA-48: control sequences, titles and other strings, short ones. */
const ESCAPES = new RegExp(
  [
    `${ESC}\\[[0-?]*[ -/]*[@-~]`,
    `${ESC}\\][^\u0007${ESC}]*(?:\u0007|${ESC}\\\\)?`,
    `${ESC}[PX^_][^${ESC}]*(?:${ESC}\\\\)?`,
    `${ESC}[ -/]*[0-~]`,
  ].join('|'),
  'g',
);
/** Control characters but the tab. */
const CONTROLS = /(?!\t)\p{Cc}/gu;

/**
 * Foreign text (a build's log, a machine's name) as one line that cannot steer the terminal: cursor movement, titles and
 * control characters go, a carriage return keeps only what would be seen, colours stay where `colour` says so.
 */
export function safeLine(text: string, colour: boolean): string {
  if (!/[^\u0020-\u007e]/.test(text)) return text;
  const visible = text
    .replace(/[\r\n]+$/, '')
    .split('\r')
    .at(-1)!;
  let coloured = false;
  const plain = visible.replace(ESCAPES, (sequence) => {
    if (!colour || sequence.replace(SGR_ALL, '') !== '') return '';
    coloured = true;
    return sequence;
  });
  const clean = plain
    .split(SGR_SPLIT)
    .map((piece, i) => (i % 2 === 1 ? piece : piece.replace(CONTROLS, '')))
    .join('');
  return coloured ? `${clean}\u001b[0m` : clean;
}

/** Characters a line takes on the screen: colours take none. */
export function visibleLength(line: string): number {
  return [...line.replace(SGR_ALL, '')].length;
}

/** Cuts a line to `columns` characters with `…` at the end; colours are closed. */
export function fitLine(line: string, columns: number): string {
  if (columns <= 0) return '';
  if (visibleLength(line) <= columns) return line;
  let left = columns - 1;
  let out = '';
  let coloured = false;
  for (const piece of line.split(SGR_SPLIT)) {
    if (piece.startsWith('\u001b[')) {
      out += piece;
      coloured = true;
      continue;
    }
    const characters = [...piece];
    out += characters.slice(0, left).join('');
    left -= Math.min(left, characters.length);
    if (left === 0) break;
  }
  return `${out}…${coloured ? '\u001b[0m' : ''}`;
}

/** `1.2 MB`: powers of 1000, as disks and networks are sold. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit += 1;
  } while (value >= 999.95 && unit < units.length - 1);
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** `1 machine`, `3 machines`. */
export function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
