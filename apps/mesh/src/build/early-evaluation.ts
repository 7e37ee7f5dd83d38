import { startReading } from './eager.ts';

/** An evaluation that is under way. */
export interface EarlyEvaluation<T> {
  /** What it finds, from the first on; aborting `signal` ends it. To be called once. */
  items(signal: AbortSignal): AsyncIterable<T>;
  /** Ends it where nobody will ask for its items. */
  cancel(): void;
}

/** Starts an evaluation at once, so that Nix works while the command still gets ready. */
export function evaluateEarly<T>(evaluate: (signal: AbortSignal) => AsyncIterable<T>): EarlyEvaluation<T> {
  const controller = new AbortController();
  const { items } = startReading(evaluate(controller.signal));
  return {
    items(signal) {
      const abort = (): void => controller.abort(signal.reason);
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true });
      return items;
    },
    cancel: () => controller.abort(),
  };
}
