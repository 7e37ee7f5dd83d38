import { BuilderEntrance } from './builder/builder-entrance.ts';
import { DerivationJobs } from './builder/derivation-jobs.ts';
import type { Foundation } from './foundation.ts';
import { FrontDoor } from './front-door/front-door.ts';
import type { HomeSide } from './home-side.ts';
import type { NixSocket } from './nix-socket/nix-socket.ts';
import { nixHandlers, nixSocketIn } from './nix-socket/serve-nix.ts';

/** The ways in for plain Nix: of programs on this machine, of its nix-daemon, and of other machines. */
export interface Entrances {
  readonly nixSockets: readonly NixSocket[];
  readonly builder: BuilderEntrance;
  /** Undefined where it is closed. */
  readonly frontDoor: FrontDoor | undefined;
}

export interface Served {
  /** Other machines and this machine's nix-daemon: an agent that lives for one build serves neither. */
  readonly machines: boolean;
  /** Programs on this machine. */
  readonly programs: boolean;
}

/** Nothing listens yet. */
export function createEntrances(
  foundation: Foundation,
  home: Pick<HomeSide, 'runner' | 'builders'>,
  served: Served,
): Entrances {
  const { runner, builders } = home;
  const { settings, socketDirs, clock, logger, nix, net, transfer, pool } = foundation;
  const daemonSocket = foundation.daemon.socketPath;
  const work = {
    runner,
    cores: nix.cores,
    queryValidPaths: (paths: string[]) => pool.use(async (client) => client.queryValidPaths(paths)),
  };
  const jobs = new DerivationJobs(
    { self: net.self.peerId },
    { runner, builders, nowS: () => clock.now() / 1_000 },
  );
  const nixDirs = served.programs && settings.nixSocket ? socketDirs : [];
  return {
    nixSockets: nixDirs.map((dir) => nixSocketIn(dir, daemonSocket, { ...work, logger })),
    builder: new BuilderEntrance(
      { dirs: served.machines ? socketDirs : [], daemonSocket },
      { net, jobs, members: transfer.memberPaths, logger },
    ),
    frontDoor:
      settings.frontDoor === undefined || !served.machines
        ? undefined
        : new FrontDoor(
            { ...settings.frontDoor, identity: net.identity, daemonSocket },
            { jobs, storeHandlers: (submitter) => nixHandlers(submitter, work), logger },
          ),
  };
}
