import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_ITEMS, MAX_STRING_BYTES, RECEIVE_BUFFER_BYTES } from './constants.ts';
import { wire } from './testing/wire-bytes.ts';
import { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

const FLOW = { pause: () => undefined, resume: () => undefined };

function readerOf(...chunks: Uint8Array[]): WireReader {
  const reader = new WireReader(FLOW);
  for (const chunk of chunks) reader.push(Buffer.from(chunk));
  reader.fail(new Error('no more bytes'));
  return reader;
}

test('what is written is read back, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: fc.constantFrom(...'az\0é€𝄞') }), { maxLength: 10 }),
      fc.maxSafeNat(),
      fc.array(fc.nat(30)),
      async (texts, number, sizes) => {
        const bytes = new WireWriter().strings(texts).u64(number).flag(true).take();
        const reader = new WireReader(FLOW);
        const reading = (async () => [await reader.strings(), await reader.u64(), await reader.flag()])();
        let at = 0;
        for (const size of sizes) {
          reader.push(bytes.subarray(at, at + size));
          at += size;
          await Promise.resolve();
        }
        reader.push(bytes.subarray(at));
        expect(await reading).toEqual([texts, number, true]);
      },
    ),
  );
});

test('the writer’s bytes are the protocol’s', () => {
  const bytes = new WireWriter().u64(0x6e697863).string('').string('bar').strings(['12345678']).take();
  expect(bytes.toString('hex')).toBe(
    '6378696e00000000' +
      '0000000000000000' +
      '03000000000000006261720000000000' +
      '010000000000000008000000000000003132333435363738',
  );
});

describe('values the protocol does not allow end in an error, before anything is allocated', () => {
  test.each<[string, Buffer, (reader: WireReader) => Promise<unknown>]>([
    ['a number beyond 2^53', wire(2n ** 63n), (reader) => reader.u64()],
    ['a string too long', wire(MAX_STRING_BYTES + 1), (reader) => reader.string()],
    ['a string of impossible length', wire(2n ** 64n - 1n), (reader) => reader.string()],
    ['a list too long', wire(MAX_ITEMS + 1), (reader) => reader.strings()],
    [
      'padding that is not zero',
      Buffer.concat([wire(1), Buffer.from('abcdefgh')]),
      (reader) => reader.string(),
    ],
    ['a path outside the store', wire('/etc/passwd'), (reader) => reader.storePath()],
    ['a flag of 7', wire(7), (reader) => reader.flag()],
  ])('%s', async (_, bytes, read) => {
    await expect(read(readerOf(bytes))).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });
  });
});

test('half a value and then silence is an error, a quiet line between messages is not', async () => {
  const half = new WireReader(FLOW, 1);
  half.push(wire('bar').subarray(0, 10));
  await expect(half.string()).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });

  const quiet = new WireReader(FLOW, 1);
  const message = quiet.message();
  await new Promise((resolve) => setTimeout(resolve, 20));
  quiet.push(wire(42));
  expect(await message).toBe(42);
});

test('an unread flood is stopped and goes on when it is read', async () => {
  let flowing = true;
  const reader = new WireReader({ pause: () => (flowing = false), resume: () => (flowing = true) });
  const chunk = wire(...Array<number>(8192).fill(1));
  while (flowing) reader.push(chunk);
  const pushed = Math.ceil((RECEIVE_BUFFER_BYTES + 1) / chunk.length) * chunk.length;
  for (let left = pushed / 8; left > 0; left--) await reader.u64();
  expect(flowing).toBe(false);
  const next = reader.u64();
  expect(flowing).toBe(true);
  reader.push(wire(5));
  expect(await next).toBe(5);
});

test('bytes given back are read next', async () => {
  const reader = readerOf(wire(1, 2), wire(3));
  const chunk = await reader.chunk();
  reader.unread(chunk.subarray(8));
  expect([await reader.u64(), await reader.u64()]).toEqual([2, 3]);
});
