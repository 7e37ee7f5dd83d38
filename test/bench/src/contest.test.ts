import { expect, test } from 'vitest';
import { contest } from './contest.ts';

test('contestants work by turns, each time with a new salt, and every run is kept', async () => {
  const order: string[] = [];
  const told: string[] = [];
  let salts = 0;
  const contestant = (name: string, took: number) => ({
    name,
    run: async (salt: string) => {
      order.push(`${name} ${salt}`);
      return took + order.length;
    },
  });
  const runs = await contest(
    [contestant('a', 10), contestant('b', 20)],
    2,
    () => `s${salts++}`,
    (name, seconds) => told.push(`${name} ${seconds}`),
  );
  expect(order).toEqual(['a s0', 'b s1', 'a s2', 'b s3']);
  expect(runs).toEqual({ a: [11, 13], b: [22, 24] });
  expect(told).toEqual(['a 11', 'b 22', 'a 13', 'b 24']);
});
