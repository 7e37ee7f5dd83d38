/**
 * One word of a POSIX shell that stands for exactly this text: in single quotes, in which nothing is special but the quote itself.
 * @throws TypeError for a text with a NUL, which no argument can have
 */
export function shellQuote(text: string): string {
  if (text.includes('\0')) throw new TypeError('An argument of a command cannot have a NUL in it.');
  return /^[A-Za-z0-9_/.:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A command line of these words. */
export function shellCommand(...words: readonly string[]): string {
  return words.map(shellQuote).join(' ');
}
