import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitLine, formatBytes, safeLine, visibleLength } from './text.ts';

const ESC = '\u001b';
const COLOUR = new RegExp(`${ESC}\\[[0-9;:]*m`, 'g');
const CONTROL = /(?!\t)\p{Cc}/u;
/** Text rich in what terminals obey. */
const hostile = fc
  .array(
    fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(ESC, `${ESC}[`, '31m', ']0;x\u0007', '\r', '\n')),
  )
  .map((parts) => parts.join(''));

describe('foreign text', () => {
  it('keeps no control character without colour', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(safeLine(text, false)).not.toMatch(CONTROL);
      }),
    );
  });

  it('keeps colours and nothing else with it, and closes them', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const safe = safeLine(text, true);
        expect(safe.replaceAll(COLOUR, '')).not.toMatch(CONTROL);
        if (safe.includes(ESC)) expect(safe.endsWith(`${ESC}[0m`)).toBe(true);
      }),
    );
  });

  it('shows what a progress line ended with', () => {
    expect(safeLine('10 %\r50 %\r100 %\r\n', false)).toBe('100 %');
  });
});

describe('a line cut to fit', () => {
  it('is never longer than the room there is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, columns) => {
        const line = `${ESC}[1m${safeLine(text, false)}${ESC}[22m`;
        expect(visibleLength(fitLine(line, columns))).toBeLessThanOrEqual(columns);
      }),
    );
  });

  it('says that it was cut and closes its colours', () => {
    expect(fitLine('hello world', 6)).toBe('hello…');
    expect(fitLine(`${ESC}[31mhello world`, 6)).toBe(`${ESC}[31mhello…${ESC}[0m`);
  });
});

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_951, '1.0 MB'],
    [1_234_567_890, '1.2 GB'],
  ])('%d', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
