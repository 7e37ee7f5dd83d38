import { silentLogger } from '@mesh/net';
import { ManualClock } from '@mesh/net/testing';
import { expect, test } from 'vitest';
import { KEEP_DELAY_MS } from '../constants.ts';
import { OutputKeeper } from './output-keeper.ts';
import type { OutputRoots } from './output-roots.ts';

test('what was built is rooted for its home, signed, and kept beyond it for other homes only', async () => {
  const clock = new ManualClock();
  const done: string[] = [];
  const signed = Promise.withResolvers<void>();
  const roots: Pick<OutputRoots, 'keep'> = {
    keep: async (home, paths) => {
      done.push(`${home} roots ${paths.join(' ')}`);
    },
  };
  const keeper = new OutputKeeper({
    self: 'self',
    clock,
    logger: silentLogger,
    roots,
    kept: {
      keep: async (paths) => {
        done.push(`kept ${paths.join(' ')}`);
      },
      used: () => undefined,
    },
    announce: (paths) => done.push(`announced ${paths.join(' ')}`),
    signOutputs: async (paths) => {
      done.push(`signed ${paths.join(' ')}`);
      if (done.filter((line) => line.startsWith('signed')).length === 2) signed.resolve();
    },
  });
  keeper.keep('self', ['a']);
  keeper.keep('other', ['b']);
  keeper.keep('other', ['c']);
  expect(done).toEqual(['announced a', 'announced b', 'announced c']);
  done.length = 0;
  clock.pass(KEEP_DELAY_MS);
  await signed.promise;
  expect(done.toSorted()).toEqual(['kept b c', 'other roots b c', 'self roots a', 'signed a', 'signed b c']);
});
