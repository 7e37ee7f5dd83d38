import { expect, test } from 'vitest';
import { batches } from './batches.ts';

async function* numbers(count: number, pause: (n: number) => Promise<void>): AsyncGenerator<number> {
  for (let n = 0; n < count; n += 1) {
    await pause(n);
    yield n;
  }
}

test('every item comes once and in order, a burst together', async () => {
  const gate = Promise.withResolvers<void>();
  const got: number[][] = [];
  // 0 comes alone; 1 to 9 while the consumer holds on to it.
  for await (const batch of batches(numbers(10, async (n) => (n === 9 ? gate.resolve() : undefined)))) {
    got.push(batch);
    if (got.length === 1) {
      await gate.promise;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  expect(got.flat()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(got.length).toBeLessThanOrEqual(3);
});

test('a failing source fails the consumer after what came before', async () => {
  async function* failing(): AsyncGenerator<number> {
    yield 1;
    throw new Error('evaluation failed');
  }
  const got: number[] = [];
  const consume = async (): Promise<void> => {
    for await (const batch of batches(failing())) got.push(...batch);
  };
  await expect(consume()).rejects.toThrow('evaluation failed');
  expect(got).toEqual([1]);
});
