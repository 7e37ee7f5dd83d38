import type { DaemonPool } from '@mesh/nix';

/** What the summary of this machine's store is made of. */
export interface ValidPaths {
  /** The valid ones among the paths; nothing is substituted. */
  among(paths: readonly string[]): Promise<ReadonlySet<string>>;
  /** Gives every valid path to what `begin` returns for their number. */
  all(begin: (count: number) => (path: string) => void): Promise<void>;
}

/** The machine's own store, by way of its nix-daemon. */
export function daemonValidPaths(pool: DaemonPool): ValidPaths {
  return {
    among: (paths) => pool.use(async (daemon) => await daemon.queryValidPaths(paths)),
    all: (begin) => pool.use(async (daemon) => await daemon.queryAllValidPaths(begin)),
  };
}
