import type { ImportItem } from '../import/import.ts';
import type { RootHold } from './temp-roots.ts';

/**
 * Whether a plan can be relied on: roots what is to come and what that refers to of this machine's own store, and looks again
 * whether the latter is all still here. What came stays while other parts of the closure come, and what the plan left out because it
 * was here is not collected under the import.
 * @returns false where something was collected meanwhile: the closure has to be planned again
 * @throws NixError of the daemon
 */
export async function rootPlan(items: readonly Pick<ImportItem, 'info'>[], hold: RootHold): Promise<boolean> {
  const coming = new Set(items.map(({ info }) => info.path));
  const here = new Set(items.flatMap(({ info }) => info.references).filter((path) => !coming.has(path)));
  const valid = await hold.add([...here, ...coming]);
  return [...here].every((path) => valid.has(path));
}
