import type { ImportItem } from '../import/import.ts';
import { SHORT_IMPORT_BYTES, SHORT_IMPORT_PATHS } from './constants.ts';
import type { RootHold } from './temp-roots.ts';

/**
 * Whether a plan can be relied on: roots what the items refer to of this machine's own store, and looks again whether that is all still
 * here, so that what the plan left out is not collected under the import. Of a long import what came stays too while the rest comes:
 * Nix's own root for it goes with the connection it came over. A short one is not worth it; what it loses comes again.
 * @returns false where something was collected meanwhile: the closure has to be planned again
 * @throws NixError of the daemon
 */
export async function rootPlan(items: readonly Pick<ImportItem, 'info'>[], hold: RootHold): Promise<boolean> {
  const coming = new Set(items.map(({ info }) => info.path));
  const here = new Set(items.flatMap(({ info }) => info.references).filter((path) => !coming.has(path)));
  const valid = await hold.add(here);
  const bytes = items.reduce((sum, { info }) => sum + info.narSize, 0);
  if (coming.size > SHORT_IMPORT_PATHS || bytes > SHORT_IMPORT_BYTES) {
    // Beside the import: a thousand roots take a tenth of a second. Without a daemon the import fails too, and says so.
    void hold.add(coming).catch(() => undefined);
  }
  return [...here].every((path) => valid.has(path));
}
