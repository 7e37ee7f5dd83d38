import { bytesOfText, textOfLatin1 } from './byte-text.ts';
import { NixError } from './errors.ts';

/**
 * Reads the small part of the ATerm format that `.drv` files use: quoted strings, lists, tuples.
 * Source: Nix manual, "Derivation ATerm format". The text is the file's bytes as latin1, so offsets are byte offsets.
 */
export class AtermReader {
  readonly #text: string;
  readonly #what: string;
  readonly #ascii: boolean;
  #at = 0;
  /** The first backslash at or after `#at`, kept so that the text is searched once, not once per string. */
  #backslash: number;

  /** `what` names the file in error messages. */
  constructor(bytes: Buffer, ascii: boolean, what: string) {
    this.#text = bytes.toString('latin1');
    this.#ascii = ascii;
    this.#what = what;
    this.#backslash = this.#find('\\', 0);
  }

  get atEnd(): boolean {
    return this.#at === this.#text.length;
  }

  /** Whether the next characters are these; does not move. */
  sees(token: string): boolean {
    return this.#text.startsWith(token, this.#at);
  }

  expect(token: string): void {
    if (!this.#text.startsWith(token, this.#at)) throw this.error(`expected ${JSON.stringify(token)}`);
    this.#at += token.length;
  }

  string(): string {
    this.expect('"');
    const start = this.#at;
    if (this.#backslash < start) this.#backslash = this.#find('\\', start);
    const end = this.#find('"', start);
    if (end < this.#backslash) {
      this.#at = end + 1;
      return this.#decode(this.#text.slice(start, end));
    }
    return this.#decode(this.#escapedString(start));
  }

  strings(): string[] {
    return this.list(() => this.string());
  }

  /** Reads `[item,item]`; the reader of an item also consumes its brackets. */
  list<T>(item: () => T): T[] {
    const items: T[] = [];
    this.expect('[');
    if (this.sees(']')) {
      this.#at += 1;
      return items;
    }
    for (;;) {
      items.push(item());
      if (this.sees(']')) break;
      this.expect(',');
    }
    this.#at += 1;
    return items;
  }

  error(problem: string): NixError {
    return new NixError(
      'NIX_BAD_DERIVATION',
      `${this.#what} is not a derivation Nix could have written: ${problem} at byte ${this.#at}.`,
    );
  }

  #escapedString(start: number): string {
    let result = '';
    let from = start;
    for (;;) {
      const end = this.#find('"', from);
      if (end === this.#text.length) {
        this.#at = start;
        throw this.error('a string without an end');
      }
      if (this.#backslash < from) this.#backslash = this.#find('\\', from);
      if (end < this.#backslash) {
        this.#at = end + 1;
        return result + this.#text.slice(from, end);
      }
      const escaped = this.#text[this.#backslash + 1] ?? '';
      result += this.#text.slice(from, this.#backslash) + (UNESCAPED[escaped] ?? escaped);
      from = this.#backslash + 2;
    }
  }

  #decode(latin1: string): string {
    return this.#ascii ? latin1 : textOfLatin1(latin1);
  }

  #find(character: string, from: number): number {
    const at = this.#text.indexOf(character, from);
    return at === -1 ? this.#text.length : at;
  }
}

const UNESCAPED: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };
const ESCAPED: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** A quoted ATerm string. */
export function printString(text: string): string {
  return `"${text.replace(/["\\\n\r\t]/g, (character) => ESCAPED[character]!)}"`;
}

export function printStrings(texts: readonly string[]): string {
  return `[${texts.map(printString).join(',')}]`;
}

/** The bytes of a printed term, byte escapes undone. */
export function printedBytes(text: string): Uint8Array {
  return bytesOfText(text);
}
