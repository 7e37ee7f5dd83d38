import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { writeSlowly } from './slow-client.ts';

test('what a client took is told also where the answer breaks off', async () => {
  const client = new PassThrough().resume();
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(3);
    yield new Uint8Array(4);
    throw new Error('the holder is gone');
  };
  let taken = 0;
  const writing = writeSlowly(chunks(), client, 1_000, (bytes) => {
    taken += bytes;
  });
  await expect(writing).rejects.toThrow('the holder is gone');
  expect(taken).toBe(7);
});
