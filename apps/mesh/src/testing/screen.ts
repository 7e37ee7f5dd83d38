const ESC = '\u001b';
const TOKENS = new RegExp(`${ESC}\\[[?0-9;]*[A-Za-z]|[\\s\\S]`, 'gu');
const UP = new RegExp(`^${ESC}\\[\\d+F$`);
const COLOUR = new RegExp(`^${ESC}\\[[0-9;]*m$`);

/**
 * As much of a terminal as the live tree uses: text with wrapping, newline, carriage return, cursor to the start of an earlier
 * line, clear below, hide and show the cursor. Anything else is a fault and throws.
 */
export class Screen {
  readonly columns: number;
  cursorVisible = true;
  #lines: string[] = [''];
  #row = 0;
  #column = 0;

  constructor(columns: number) {
    this.columns = columns;
  }

  /** Everything ever scrolled and still there, without empty rows at the end. */
  get text(): string {
    return this.#lines.join('\n').trimEnd();
  }

  write(text: string): void {
    for (const token of text.match(TOKENS) ?? []) this.#token(token);
  }

  #token(token: string): void {
    if (token === '\n') {
      this.#row += 1;
      this.#column = 0;
      if (this.#row === this.#lines.length) this.#lines.push('');
    } else if (token === '\r') this.#column = 0;
    else if (token === '\u001b[?25l') this.cursorVisible = false;
    else if (token === '\u001b[?25h') this.cursorVisible = true;
    else if (token === '\u001b[J') {
      this.#lines.length = this.#row + 1;
      this.#lines[this.#row] = this.#lines[this.#row]!.slice(0, this.#column);
    } else if (UP.test(token)) {
      this.#row = Math.max(0, this.#row - Number(token.slice(2, -1)));
      this.#column = 0;
    } else if (COLOUR.test(token)) return;
    else if (token.startsWith('\u001b')) throw new Error(`the screen does not know ${JSON.stringify(token)}`);
    else this.#print(token);
  }

  #print(character: string): void {
    if (this.#column === this.columns) this.#token('\n');
    const line = [...this.#lines[this.#row]!];
    line[this.#column] = character;
    this.#lines[this.#row] = line.join('');
    this.#column += 1;
  }
}
