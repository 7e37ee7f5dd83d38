/**
 * Groups a stream into batches of whatever has arrived while the consumer was busy: the first item is handed on at once, the rest
 * of a burst together.
 */
export async function* batches<T>(source: AsyncIterable<T>): AsyncGenerator<T[]> {
  const waiting: T[] = [];
  let ended = false;
  let failure: { error: unknown } | undefined;
  let wake: () => void = () => undefined;
  const pump = async (): Promise<void> => {
    try {
      for await (const item of source) {
        waiting.push(item);
        wake();
      }
    } catch (error) {
      failure = { error };
    }
    ended = true;
    wake();
  };
  const pumping = pump();
  for (;;) {
    if (waiting.length === 0 && !ended) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (waiting.length > 0) yield waiting.splice(0);
    else if (ended) break;
  }
  await pumping;
  if (failure !== undefined) throw failure.error;
}
