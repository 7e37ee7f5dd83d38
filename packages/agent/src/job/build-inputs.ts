import type { BuildInput } from '@mesh/wire';
import { AgentError } from '../errors.ts';
import type { Wanted } from './planner.ts';

/**
 * What is wanted, until all of it is known or nobody wants it any more.
 * @throws AgentError BUILD_CANCELLED: whoever evaluates went away in the middle
 */
export async function* untilEvaluated(
  inputs: AsyncIterable<BuildInput>,
  signal: AbortSignal,
): AsyncGenerator<Wanted> {
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const iterator = inputs[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([iterator.next(), aborted]);
    if (next === undefined) return;
    if (next.done === true) {
      const message = 'The command ended before it had said what to build; run it again.';
      throw new AgentError('BUILD_CANCELLED', message);
    }
    if (next.value.type === 'evaluated') return;
    yield { drvPath: next.value.drvPath, outputs: next.value.outputs };
  }
}

/** The same wishes once more. */
export async function* replay(wanted: readonly Wanted[]): AsyncGenerator<BuildInput> {
  for (const entry of wanted) yield { type: 'derivation', ...entry };
  yield { type: 'evaluated' };
}
