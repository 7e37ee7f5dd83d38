import type { DaemonClient, PathInfo } from '@mesh/nix';

/** The path infos of everything reachable from `roots`, as far as `store` has it; `isWanted` says of which paths to look at more. */
export async function closureInfos(
  store: DaemonClient,
  roots: readonly string[],
  unwanted: (paths: readonly string[]) => Promise<ReadonlySet<string>> = async () => new Set(),
): Promise<Map<string, PathInfo>> {
  const infos = new Map<string, PathInfo>();
  const seen = new Set(roots);
  for (let level = [...roots]; level.length > 0; ) {
    const found = await store.queryPathInfos(level);
    const next = new Set<string>();
    for (const [path, info] of found) {
      infos.set(path, info);
      for (const reference of info.references) if (!seen.has(reference)) next.add(reference);
    }
    for (const path of next) seen.add(path);
    const left = await unwanted([...next]);
    level = [...next].filter((path) => !left.has(path));
  }
  return infos;
}

/** Every path after those it refers to. */
export function referencesFirst(infos: ReadonlyMap<string, PathInfo>): PathInfo[] {
  const ordered = new Set<PathInfo>();
  const open = new Set<string>();
  const stack = [...infos.keys()];
  while (stack.length > 0) {
    const path = stack.at(-1)!;
    const info = infos.get(path);
    if (info === undefined || ordered.has(info)) stack.pop();
    else if (open.has(path)) {
      stack.pop();
      ordered.add(info);
    } else {
      open.add(path);
      stack.push(...info.references.filter((reference) => !open.has(reference)));
    }
  }
  return [...ordered];
}

/** Copies paths from one store into another, those referred to first. @throws NixError of either daemon */
export async function copyPaths(
  infos: readonly PathInfo[],
  from: DaemonClient,
  to: DaemonClient,
  options: { readonly dontCheckSigs: boolean },
): Promise<void> {
  if (infos.length === 0) return;
  const items = infos.map((info) => ({
    // Built elsewhere, as far as the other store is concerned.
    info: { ...info, ultimate: false },
    nar: from.narFromPath(info.path),
  }));
  await to.addMultipleToStore(items, items.length, options);
}
