import { silentLogger } from '@mesh/net';
import { describe, expect, test } from 'vitest';
import { HAVE_TIMEOUT_MS } from './constants.ts';
import { storePathOf } from './test-support/memory-store.ts';
import { whoHas } from './who-has.ts';

const [one, two, three] = ['one', 'two', 'three'].map((name) => storePathOf(name)) as [
  string,
  string,
  string,
];

/** Members with what they have; `summaries` is what they are thought to have, undefined where nothing is known. */
function mesh(members: Record<string, { has: readonly string[]; summary: readonly string[] | undefined }>) {
  const asked: [peerId: string, paths: readonly string[]][] = [];
  const counters = { questions: 0, savedQuestions: 0, wrongGuesses: 0 };
  const named = (test: (summary: readonly string[] | undefined) => boolean) =>
    Object.keys(members).filter((peerId) => test(members[peerId]?.summary));
  return {
    asked,
    counters,
    components: {
      net: { connectedMembers: () => Object.keys(members) },
      client: {
        have: async (peerId: string, paths: readonly string[]) => {
          asked.push([peerId, paths]);
          return new Set(paths.filter((path) => members[peerId]?.has.includes(path)));
        },
      },
      logger: silentLogger,
      summaries: {
        of: (path: string) => named((summary) => summary?.includes(path) ?? false),
        ofHash: () => [],
        unknown: () => named((summary) => summary === undefined),
      },
      counters,
    },
  };
}

describe('who has what', () => {
  test('nobody is asked for what no summary has', async () => {
    const { asked, counters, components } = mesh({
      a: { has: [], summary: [two] },
      b: { has: [], summary: [] },
    });
    expect(await whoHas([one], components)).toEqual(new Map());
    expect(asked).toEqual([]);
    expect(counters).toEqual({ questions: 0, savedQuestions: 2, wrongGuesses: 0 });
  });

  test('a guess is confirmed by one question to the member it names; a wrong one costs no more', async () => {
    const { asked, counters, components } = mesh({
      a: { has: [one], summary: [one, two] },
      b: { has: [], summary: [] },
    });
    expect(await whoHas([one, two, three], components)).toEqual(new Map([[one, ['a']]]));
    expect(asked).toEqual([['a', [one, two]]]);
    expect(counters).toEqual({ questions: 1, savedQuestions: 1, wrongGuesses: 1 });
  });

  test('a straggler is waited for, if one is to, while nobody else has what is asked for', async () => {
    const { components } = mesh({
      quick: { has: [one], summary: undefined },
      slow: { has: [one, two], summary: undefined },
    });
    const have = async (
      peerId: string,
      paths: readonly string[],
      { signal }: { signal?: AbortSignal } = {},
    ) => {
      if (peerId === 'slow') {
        await new Promise((resolve, reject) => {
          setTimeout(resolve, HAVE_TIMEOUT_MS + 200);
          signal?.addEventListener('abort', () => reject(signal.reason));
        });
      }
      return components.client.have(peerId, paths);
    };
    const asking = { ...components, client: { have } };
    expect(await whoHas([one, two], asking)).toEqual(new Map([[one, ['quick']]]));
    const patient = { patienceMs: 5_000 };
    expect(await whoHas([one, two], asking, patient)).toEqual(
      new Map([
        [one, ['quick', 'slow']],
        [two, ['slow']],
      ]),
    );
    expect(await whoHas([one], asking, patient)).toEqual(new Map([[one, ['quick']]]));
  });

  test('a member without a summary is asked for everything', async () => {
    const { asked, components } = mesh({
      a: { has: [two], summary: undefined },
      b: { has: [one], summary: [one] },
    });
    expect(await whoHas([one, two], components)).toEqual(
      new Map([
        [two, ['a']],
        [one, ['b']],
      ]),
    );
    expect(asked.toSorted()).toEqual([
      ['a', [one, two]],
      ['b', [one]],
    ]);
  });
});
