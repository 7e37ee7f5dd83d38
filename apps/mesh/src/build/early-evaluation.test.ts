import { expect, test } from 'vitest';
import { evaluateEarly } from './early-evaluation.ts';

test('an evaluation is under way before anybody asks for what it finds', async () => {
  const started = Promise.withResolvers<void>();
  const evaluation = evaluateEarly(async function* () {
    started.resolve();
    yield 'a.drv';
    yield 'b.drv';
  });
  await started.promise;
  const found: string[] = [];
  for await (const item of evaluation.items(new AbortController().signal)) found.push(item);
  expect(found).toEqual(['a.drv', 'b.drv']);
});

test('aborting ends it, and so does cancelling it', async () => {
  const ends: unknown[] = [];
  const endless = async function* (signal: AbortSignal): AsyncGenerator<string> {
    yield 'a.drv';
    signal.throwIfAborted();
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const read = async (items: AsyncIterable<string>): Promise<void> => {
    for await (const _item of items);
  };
  const controller = new AbortController();
  const aborted = read(evaluateEarly(endless).items(controller.signal)).catch((error) => ends.push(error));
  controller.abort(new Error('enough'));
  await aborted;
  expect(ends).toEqual([new Error('enough')]);

  const cancelled = evaluateEarly(endless);
  cancelled.cancel();
  await expect(read(cancelled.items(new AbortController().signal))).rejects.toThrow('aborted');
});
