import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JoinedReader } from './joined-reader.ts';
import type { NarReader } from './ranges.ts';

const never = new AbortController().signal;

/** A reader of these bytes; some give them at once, others in pieces. */
function readerOf(bytes: Uint8Array, atOnce: boolean): NarReader & { closed: boolean } {
  return {
    closed: false,
    narBytes: bytes.length,
    async *read(offset, length) {
      for (let at = offset; at < offset + length; at += 3)
        yield bytes.subarray(at, Math.min(at + 3, offset + length));
    },
    ...(atOnce ? { fill: (offset, into) => into.set(bytes.subarray(offset, offset + into.length)) } : {}),
    close() {
      this.closed = true;
    },
  };
}

test('any range is what it is of all of them put together, and all are closed in the end', async () => {
  const part = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.boolean());
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { minLength: 1, maxLength: 8 }),
      fc.nat(),
      fc.nat(),
      async (parts, a, b) => {
        const whole = Buffer.concat(parts.map(([bytes]) => bytes));
        const offset = a % (whole.length + 1);
        const bytes = b % (whole.length - offset + 1);
        const readers = parts.map(([of, atOnce]) => readerOf(of, atOnce));
        const joined = new JoinedReader(readers);
        expect(joined.narBytes).toBe(whole.length);
        const chunks: Buffer[] = [];
        for await (const chunk of joined.read(offset, bytes, never)) chunks.push(Buffer.from(chunk));
        expect(Buffer.concat(chunks)).toEqual(whole.subarray(offset, offset + bytes));
        joined.close();
        expect(readers.every(({ closed }) => closed)).toBe(true);
      },
    ),
  );
});
