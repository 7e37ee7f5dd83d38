import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collect } from '../testing/collect.ts';
import { readLines } from './line-reader.ts';

async function lines(chunks: Uint8Array[], maxBytes = 1_000): Promise<string[]> {
  return await collect(readLines(stream(chunks), maxBytes));
}

async function* stream(chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

describe('readLines', () => {
  it('does not depend on how the bytes were cut into chunks', async () => {
    const text = fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', '')));
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 7 }), async (expected, size) => {
        const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(''));
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        expect(await lines(chunks)).toEqual(expected);
      }),
    );
  });

  it('yields a last line without a newline', async () => {
    expect(await lines([Buffer.from('a\nb')])).toEqual(['a', 'b']);
  });

  it('refuses a line over the limit before it ends', async () => {
    const endless = Array.from({ length: 20 }, () => Buffer.from('x'.repeat(100)));
    await expect(lines(endless, 1_000)).rejects.toThrow('longer than 1000 bytes');
    await expect(lines([Buffer.from(`${'x'.repeat(1_000)}\n`)], 1_000)).resolves.toHaveLength(1);
  });
});
