import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shellCommand, shellQuote } from './shell-quote.ts';

/** What a real shell makes of a command line that prints its arguments, each ended by a NUL. */
const words = (line: string) =>
  execFileSync('sh', ['-c', line], { encoding: 'utf8' }).split('\0').slice(0, -1);

const nasty = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom("'", '"', '\\', '$', '`', '\n', ' ', '*', '~', '!', '#', ';', '&', '|', 'a', '\t'),
  }),
);
/** Texts that UTF-8 can carry, without a NUL. */
const argument = nasty.map((text) => text.replaceAll('\0', '')).filter((text) => text.isWellFormed());

describe('quoting for a remote shell', () => {
  it('any arguments arrive as they were', () => {
    fc.assert(
      fc.property(fc.array(argument, { minLength: 1, maxLength: 5 }), (texts) => {
        expect(words(shellCommand('printf', '%s\\0', ...texts))).toEqual(texts);
      }),
      { numRuns: 60 },
    );
  });

  it('also through two shells, as `sudo sh -c` makes them', () => {
    fc.assert(
      fc.property(argument, (text) => {
        const inner = shellCommand('printf', '%s\\0', text);
        expect(words(shellCommand('sh', '-c', inner))).toEqual([text]);
      }),
      { numRuns: 60 },
    );
  });

  it('plain words stay readable; nothing is a word too; a NUL is refused', () => {
    expect(shellQuote('/opt/mesh/current')).toBe('/opt/mesh/current');
    expect(shellQuote('')).toBe("''");
    expect(() => shellQuote('a\0b')).toThrow(TypeError);
  });
});
