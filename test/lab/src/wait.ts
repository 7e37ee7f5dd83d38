import { setTimeout as sleep } from 'node:timers/promises';
import { LOOK_AGAIN_MS } from './constants.ts';
import { LabError } from './errors.ts';

/** Looks until `probe` gives something other than undefined. For what the kernel has no event for. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > deadline) {
      throw new LabError('LAB_TIMEOUT', `${what} did not happen within ${timeoutMs} ms.`);
    }
    await sleep(LOOK_AGAIN_MS);
  }
}
