import type { DaemonPool, PathDescription } from '@mesh/nix';

/** What is asked of the own store: validity and path infos, never contents. */
export interface StoreReader {
  /** The valid ones among the paths; nothing is substituted. */
  validPaths(paths: readonly string[]): Promise<ReadonlySet<string>>;
  /** The infos of those paths that are valid. */
  pathInfos(paths: readonly string[]): Promise<ReadonlyMap<string, PathDescription>>;
  /** The valid paths with these hash parts, by hash part. */
  pathsFromHashParts(hashParts: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

/** The machine's own store, by way of its nix-daemon. */
export function daemonStoreReader(pool: DaemonPool): StoreReader {
  return {
    validPaths: async (paths) =>
      paths.length === 0
        ? new Set<string>()
        : pool.use(async (daemon) => await daemon.queryValidPaths(paths)),
    pathsFromHashParts: (hashParts) =>
      pool.use(async (daemon) => await daemon.queryPathsFromHashParts(hashParts)),
    pathInfos: (paths) => pool.use(async (daemon) => await daemon.queryPathInfos(paths)),
  };
}
