import { setImmediate as turn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { receiveBytes, sendBytes } from './thread-bytes.ts';

/** Chunks of this size, each byte the number of its chunk; `made` tells how many were asked for. */
function chunks(count: number, size: number): { made: number; source: AsyncGenerator<Uint8Array> } {
  const state = { made: 0, source: make() };
  async function* make(): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < count; n += 1) {
      state.made += 1;
      yield new Uint8Array(size).fill(n);
    }
  }
  return state;
}

test('all bytes arrive in order', async () => {
  const { port1, port2 } = new MessageChannel();
  const sent = sendBytes(port1, chunks(100, 100_000).source);
  const got: Buffer[] = [];
  for await (const chunk of receiveBytes(port2)) got.push(Buffer.from(chunk));
  await sent;
  const expected = Array.from({ length: 100 }, (_, n) => Buffer.alloc(100_000, n));
  expect(Buffer.concat(got).equals(Buffer.concat(expected))).toBe(true);
});

test('what is not taken is not made', async () => {
  const { port1, port2 } = new MessageChannel();
  const endless = chunks(1_000_000, 1_000_000);
  const sent = sendBytes(port1, endless.source);
  const receiver = receiveBytes(port2);
  await receiver.next();
  for (let n = 0; n < 50; n += 1) await turn();
  expect(endless.made).toBeLessThan(10);
  await receiver.return();
  await sent;
  expect(endless.made).toBeLessThan(10);
});

test('a source that fails ends the other side, and says so on its own', async () => {
  const { port1, port2 } = new MessageChannel();
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(300_000);
    throw new Error('the disk is gone');
  };
  const sent = sendBytes(port1, failing());
  const failed = expect(sent).rejects.toThrow('the disk is gone');
  let bytes = 0;
  for await (const chunk of receiveBytes(port2)) bytes += chunk.length;
  await failed;
  expect(bytes).toBe(256 * 1024);
});
