import { expect, test } from 'vitest';
import { CoalescedQuestions } from './coalesced-questions.ts';

/** Answers a key with itself when told to; keys that begin with `no` have no answer. */
class Answerer {
  readonly asked: string[][] = [];
  readonly #open: (() => void)[] = [];

  readonly ask = async (keys: readonly string[]): Promise<Map<string, string>> => {
    this.asked.push([...keys]);
    await new Promise<void>((resolve) => this.#open.push(resolve));
    return new Map(keys.filter((key) => !key.startsWith('no')).map((key) => [key, key]));
  };

  answer(): void {
    for (const open of this.#open.splice(0)) open();
  }
}

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('keys of one turn are one question, and those that come meanwhile the next', async () => {
  const answerer = new Answerer();
  const questions = new CoalescedQuestions(answerer.ask, { keysPerQuestion: 100, questionsAtOnce: 1 });
  const first = ['a', 'b', 'none'].map((key) => questions.ask(key));
  await turn();
  const later = ['c', 'a', 'd'].map((key) => questions.ask(key));
  await turn();
  expect(answerer.asked).toEqual([['a', 'b', 'none']]);
  answerer.answer();
  expect(await Promise.all(first)).toEqual(['a', 'b', undefined]);
  await turn();
  answerer.answer();
  expect(await Promise.all(later)).toEqual(['c', 'a', 'd']);
  expect(answerer.asked).toEqual([
    ['a', 'b', 'none'],
    ['c', 'd'],
  ]);
});

test('a question holds no more keys than it may, and several may be under way', async () => {
  const answerer = new Answerer();
  const questions = new CoalescedQuestions(answerer.ask, { keysPerQuestion: 10, questionsAtOnce: 2 });
  const keys = Array.from({ length: 35 }, (_, index) => `k${index}`);
  const answers = Promise.all(keys.map((key) => questions.ask(key)));
  await turn();
  await turn();
  expect(answerer.asked.map((asked) => asked.length)).toEqual([10, 10]);
  while (answerer.asked.length < 4 || answerer.asked.flat().length < 35) {
    answerer.answer();
    await turn();
  }
  answerer.answer();
  expect(await answers).toEqual(keys);
});

test('a question that fails fails its keys alone, which may be asked for again', async () => {
  let fail = true;
  const questions = new CoalescedQuestions(
    async (keys) => {
      if (fail) throw new Error('lost');
      return new Map(keys.map((key) => [key, key]));
    },
    { keysPerQuestion: 10, questionsAtOnce: 1 },
  );
  await expect(questions.ask('a')).rejects.toThrow('lost');
  fail = false;
  expect(await questions.ask('a')).toBe('a');
});
