import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Tries candidates in their order, each beside the ones before it once those have taken `staggerMs`, and at once when they have all
 * failed (RFC 8305). The first success is the result: the other attempts are aborted, and one that succeeds all the same is handed to
 * `drop`.
 * @throws {AggregateError} an error for each candidate; undefined for one that had no turn
 */
export async function firstOf<T, R>(
  candidates: readonly T[],
  attempt: (candidate: T, signal: AbortSignal) => Promise<R>,
  options: { staggerMs: number; signal: AbortSignal; drop: (result: R) => void },
): Promise<R> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const errors: unknown[] = [];
  const won = Promise.withResolvers<R>();
  let isWon = false;
  const running = new Set<Promise<void>>();

  const start = (candidate: T, index: number): void => {
    const run = attempt(candidate, signal)
      .then(
        (result) => {
          if (isWon || over.signal.aborted) {
            options.drop(result);
            return;
          }
          isWon = true;
          won.resolve(result);
        },
        (error: unknown) => {
          errors[index] = error;
        },
      )
      .finally(() => running.delete(run));
    running.add(run);
  };

  const all = (async () => {
    for (const [index, candidate] of candidates.entries()) {
      if (isWon || signal.aborted) break;
      start(candidate, index);
      const pause = new AbortController();
      await Promise.race([
        Promise.all(running),
        sleep(options.staggerMs, undefined, { signal: pause.signal, ref: false }).catch(() => undefined),
        won.promise,
      ]);
      pause.abort();
    }
    await Promise.all(running);
    if (!isWon)
      throw new AggregateError(
        Array.from(candidates, (_, index) => errors[index]),
        'All attempts failed.',
      );
    return won.promise;
  })();
  try {
    return await Promise.race([won.promise, all]);
  } finally {
    over.abort();
    // Its outcome is known already; what is left of it only tidies up.
    all.catch(() => undefined);
  }
}
