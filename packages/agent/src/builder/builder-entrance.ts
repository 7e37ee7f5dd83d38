import type { Logger, MeshNet } from '@mesh/net';
import { builderHandlers } from './builder-handlers.ts';
import { BuilderServer } from './builder-server.ts';
import type { DerivationJobs } from './derivation-jobs.ts';
import { DistantOutputs, type PathsOfMembers } from './distant-outputs.ts';
import type { OfferedMachine } from './greeting.ts';

export interface BuilderEntranceInit {
  /** Socket directories; the first one must be had, the others only if nobody else has them. */
  readonly dirs: readonly string[];
  readonly daemonSocket?: string | undefined;
}

export interface BuilderEntranceComponents {
  readonly net: MeshNet;
  readonly jobs: DerivationJobs;
  readonly members: PathsOfMembers;
  readonly logger: Logger;
}

/** The agent as a builder of this machine's unmodified Nix, put together. */
export class BuilderEntrance {
  readonly #servers: readonly BuilderServer[];
  readonly #logger: Logger;

  constructor({ dirs, daemonSocket }: BuilderEntranceInit, components: BuilderEntranceComponents) {
    const { net, jobs, members, logger } = components;
    this.#logger = logger;
    const handlers = builderHandlers(jobs, new DistantOutputs(members));
    const others = () => otherMachines(net);
    this.#servers = dirs.map((dir) => new BuilderServer({ dir, daemonSocket }, { handlers, others, logger }));
  }

  /** The directories must be there. An entrance that cannot be opened is no reason for an agent not to run. */
  async start(): Promise<void> {
    for (const server of this.#servers) {
      await server.start().catch((error: unknown) => {
        this.#logger.warn({ err: error }, 'plain Nix cannot use mesh-builder here');
      });
    }
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) await server.stop();
  }
}

function otherMachines(net: MeshNet): OfferedMachine[] {
  return net
    .members()
    .filter(({ self, connected, roles }) => !self && connected && roles.includes('build'))
    .flatMap(({ name, record }) =>
      record === undefined
        ? []
        : [
            {
              name,
              systems: record.systems,
              systemFeatures: record.systemFeatures,
              slots: record.slots,
              closed: record.closed,
            },
          ],
    );
}
