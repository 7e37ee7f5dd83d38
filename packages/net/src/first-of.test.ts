import { describe, expect, it } from 'vitest';
import { firstOf } from './first-of.ts';

type Outcome = PromiseWithResolvers<string>;

/** A race of attempts that end when the test says so. */
function race(names: string[], staggerMs: number) {
  const attempts = new Map<string, Outcome & { signal: AbortSignal }>();
  const dropped: string[] = [];
  const result = firstOf(
    names,
    (name, signal) => {
      const outcome = Promise.withResolvers<string>();
      attempts.set(name, { ...outcome, signal });
      return outcome.promise;
    },
    { staggerMs, signal: new AbortController().signal, drop: (name) => dropped.push(name) },
  );
  return { attempts, dropped, result, started: () => [...attempts.keys()] };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));
const HOUR_MS = 3_600_000;

describe('the first of several attempts', () => {
  it('is begun alone, and the next at once when it failed', async () => {
    const { attempts, started, result } = race(['a', 'b', 'c'], HOUR_MS);
    await settled();
    expect(started()).toEqual(['a']);
    attempts.get('a')!.reject(new Error('refused'));
    await settled();
    expect(started()).toEqual(['a', 'b']);
    attempts.get('b')!.resolve('b');
    expect(await result).toBe('b');
    expect(started()).toEqual(['a', 'b']);
  });

  it('to succeed wins beside one that hangs, which is aborted, and dropped should it succeed all the same', async () => {
    const { attempts, dropped, result } = race(['hangs', 'answers'], 1);
    while (!attempts.has('answers')) await new Promise((resolve) => setTimeout(resolve, 1));
    attempts.get('answers')!.resolve('answers');
    expect(await result).toBe('answers');
    expect(attempts.get('hangs')!.signal.aborted).toBe(true);
    attempts.get('hangs')!.resolve('late');
    await settled();
    expect(dropped).toEqual(['late']);
  });

  it('that all fail give their errors in order', async () => {
    const { attempts, result } = race(['a', 'b'], 1);
    while (!attempts.has('b')) await new Promise((resolve) => setTimeout(resolve, 1));
    attempts.get('b')!.reject(new Error('b'));
    attempts.get('a')!.reject(new Error('a'));
    await expect(result).rejects.toMatchObject({
      errors: [expect.objectContaining({ message: 'a' }), expect.objectContaining({ message: 'b' })],
    });
  });
});
