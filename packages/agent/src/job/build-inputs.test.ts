import type { BuildInput } from '@mesh/wire';
import { expect, test } from 'vitest';
import { replay, untilEvaluated } from './build-inputs.ts';

const ONE = { drvPath: '/nix/store/00000000000000000000000000000000-one.drv', outputs: ['out'] };

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

test('what is wanted is known when evaluation says so', async () => {
  expect(await all(untilEvaluated(replay([ONE, ONE]), new AbortController().signal))).toEqual([ONE, ONE]);
});

test('a command that goes away in the middle has cancelled its build, not finished it', async () => {
  async function* broken(): AsyncGenerator<BuildInput> {
    yield { type: 'derivation', ...ONE };
  }
  const wanted = untilEvaluated(broken(), new AbortController().signal);
  expect((await wanted.next()).value).toEqual(ONE);
  await expect(wanted.next()).rejects.toMatchObject({ code: 'BUILD_CANCELLED' });
});

test('an evaluation that goes on for ever does not outlive its build', async () => {
  async function* endless(): AsyncGenerator<BuildInput> {
    await new Promise(() => undefined);
    yield { type: 'evaluated' };
  }
  const cancel = new AbortController();
  const reading = all(untilEvaluated(endless(), cancel.signal));
  cancel.abort();
  expect(await reading).toEqual([]);
});
