import { Buffer } from 'node:buffer';
import type { DaemonClient, DaemonPool } from '@mesh/nix';
import type { Transfer } from '@mesh/transfer';
import type { History } from './history/history.ts';
import type { PlannerComponents, Wanted } from './job/planner.ts';

/** What an agent's jobs ask of this machine's own store. */
export class Store {
  readonly #pool: DaemonPool;

  constructor(pool: DaemonPool) {
    this.#pool = pool;
  }

  /** Stores the log of a build that ran elsewhere where `nix log` looks for it. */
  async addBuildLog(drvPath: string, lines: string[]): Promise<void> {
    const text = Buffer.from(lines.map((line) => `${line}\n`).join(''), 'utf8');
    await this.#pool.use(async (client) => {
      await client.addBuildLog(drvPath, text);
    });
  }

  /**
   * Of derivations that do not say their output paths, those whose wanted outputs were realised before and are valid.
   */
  async queryRealised(wanted: readonly Wanted[]): Promise<ReadonlySet<string>> {
    if (wanted.length === 0) return new Set();
    return this.#pool.use(async (client) => {
      const maps = await Promise.all(
        wanted.map(async ({ drvPath }) => client.queryDerivationOutputMap(drvPath)),
      );
      const valid = await client.queryValidPaths(maps.flatMap((outputs) => [...outputs.values()]));
      const isValid = ({ outputs }: Wanted, index: number): boolean =>
        outputs.every((name) => valid.has(maps[index]?.get(name) ?? ''));
      return new Set(wanted.filter(isValid).map(({ drvPath }) => drvPath));
    });
  }

  /** Temporary roots for the time of a job, on a connection of their own. */
  async holdRoots(
    connect: () => Promise<DaemonClient>,
  ): Promise<{ add(paths: string[]): Promise<void>; release(): void }> {
    const client = await connect();
    return {
      async add(paths) {
        await client.addTempRoots(paths);
      },
      release: () => client.close(),
    };
  }

  plannerComponents(
    transfer: Pick<Transfer, 'whoHas' | 'offeredUpstream'>,
    history: Pick<History, 'open' | 'predict'>,
    registers: boolean,
  ): PlannerComponents {
    return {
      ...(registers ? { queryRealised: (wanted) => this.queryRealised(wanted) } : {}),
      queryValidPaths: async (paths) =>
        paths.length === 0
          ? new Set<string>()
          : this.#pool.use(async (client) => client.queryValidPaths(paths)),
      querySubstitutable: (wanted) => transfer.offeredUpstream(wanted.map(derivedPath)),
      whoHas: async (paths) => (paths.length === 0 ? new Map() : transfer.whoHas(paths)),
      predict: (name, system, shape) => history.predict(name, system, shape),
      remembered: () => history.open(),
    };
  }
}

function derivedPath({ drvPath, outputs }: Wanted): string {
  return `${drvPath}!${outputs.length > 0 ? outputs.join(',') : '*'}`;
}
