import type { PathDescription } from '@mesh/nix';

/** Path infos that refer to each other in a circle: no store can hold them. */
export class ReferenceCycleError extends Error {}

/**
 * The infos reachable from `roots`, every path after the paths it refers to. References without an info in `infos`
 * are left out: whoever calls knows whether they are at hand.
 * @throws ReferenceCycleError
 */
export function referencesFirst<T extends Pick<PathDescription, 'path' | 'references'>>(
  roots: Iterable<string>,
  infos: ReadonlyMap<string, T>,
): T[] {
  const ordered: T[] = [];
  const state = new Map<string, 'open' | 'done'>();
  // Each entry is visited twice: once to push its references, once when they are all in order.
  const stack = [...roots].reverse();
  while (stack.length > 0) {
    const path = stack.at(-1)!;
    const info = infos.get(path);
    if (info === undefined || state.get(path) === 'done') {
      stack.pop();
    } else if (state.get(path) === 'open') {
      stack.pop();
      state.set(path, 'done');
      ordered.push(info);
    } else {
      state.set(path, 'open');
      for (const reference of info.references) {
        if (reference === path || state.get(reference) === 'done') continue;
        if (state.get(reference) === 'open') {
          throw new ReferenceCycleError(`${path} and ${reference} refer to each other.`);
        }
        stack.push(reference);
      }
    }
  }
  return ordered;
}
