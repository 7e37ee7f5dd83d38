import { expect, test } from 'vitest';
import { DaemonCall } from './call.ts';
import { MAX_WAITING_EVENTS } from './constants.ts';
import type { DaemonEvent } from './events.ts';

const line = (number: number): DaemonEvent => ({ type: 'text', text: String(number) });

test('a call that is only awaited drops what is told, however much', async () => {
  const call = new DaemonCall(async (emit) => {
    await Promise.resolve();
    for (let i = 0; i < 3 * MAX_WAITING_EVENTS; i++) await emit(line(i));
    return 'done';
  });
  expect(await call).toBe('done');
});

test('a call that is iterated tells everything in order, then its result', async () => {
  const call = new DaemonCall(async (emit) => {
    for (let i = 0; i < 3 * MAX_WAITING_EVENTS; i++) await emit(line(i));
    return 'done';
  });
  let next = 0;
  for await (const event of call) expect(event).toEqual(line(next++));
  expect(next).toBe(3 * MAX_WAITING_EVENTS);
  expect(await call).toBe('done');
});

test('a slow reader makes the daemon wait', async () => {
  let told = 0;
  const call = new DaemonCall(async (emit) => {
    for (; told < 10 * MAX_WAITING_EVENTS; told++) await emit(line(told));
  });
  const events = call[Symbol.asyncIterator]();
  await events.next();
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
  expect(told).toBeLessThanOrEqual(MAX_WAITING_EVENTS + 1);
  await events.return();
  await call;
  expect(told).toBe(10 * MAX_WAITING_EVENTS);
});

test('a failed call throws in the iteration and when awaited', async () => {
  const call = new DaemonCall(async (emit) => {
    await emit(line(1));
    throw new Error('refused');
  });
  const seen: DaemonEvent[] = [];
  const iterate = async (): Promise<void> => {
    for await (const event of call) seen.push(event);
  };
  await expect(iterate()).rejects.toThrow('refused');
  expect(seen).toEqual([line(1)]);
  await expect(call).rejects.toThrow('refused');
});
