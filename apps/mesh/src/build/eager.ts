/**
 * Starts to read a source at once and hands on what it yields later: evaluation need not wait until the agent listens. The
 * source's failure comes out where its items would have; `failed` tells it to whoever does not read. `ended` resolves when the source
 * has nothing running any more, however it ended.
 */
export function startReading<T>(source: AsyncIterable<T>): {
  items: AsyncIterable<T>;
  failed: Promise<unknown>;
  ended: Promise<void>;
} {
  const waiting: T[] = [];
  let ended = false;
  let failure: { error: unknown } | undefined;
  let wake = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<unknown>();
  const signalChange = () => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  const reading = (async () => {
    for await (const item of source) {
      waiting.push(item);
      signalChange();
    }
  })();
  reading.then(
    () => {
      ended = true;
      signalChange();
    },
    (error: unknown) => {
      failure = { error };
      failed.resolve(error);
      signalChange();
    },
  );
  async function* items(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      if (failure !== undefined) throw failure.error;
      const change = wake.promise;
      if (waiting.length > 0) yield waiting.shift()!;
      else if (ended) return;
      else await change;
    }
  }
  const settled = reading.then(
    () => undefined,
    () => undefined,
  );
  return { items: items(), failed: failed.promise, ended: settled };
}
