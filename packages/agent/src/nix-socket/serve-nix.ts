import type { Logger } from '@mesh/net';
import { type ClientHandlers, DEFAULT_SOCKET_PATH } from '@mesh/nix';
import type { JobRunner } from '../job/job-runner.ts';
import { type BuildHandlersComponents, buildHandlers } from './build-handlers.ts';
import type { BuildPort } from './build-port.ts';
import { NixSocket } from './nix-socket.ts';

export interface ServeNixComponents {
  readonly runner: Pick<JobRunner, 'create' | 'run'>;
  readonly queryValidPaths: BuildHandlersComponents['queryValidPaths'];
  /** Cores that this machine's nix.conf gives a build. */
  readonly cores: number;
  readonly logger: Logger;
}

/** An agent's `nix.sock` in a socket directory. */
export function nixSocketIn(
  dir: string,
  daemonSocket: string | undefined,
  { logger, ...work }: ServeNixComponents,
): NixSocket {
  return new NixSocket(
    { dir, daemonSocket: daemonSocket ?? DEFAULT_SOCKET_PATH },
    {
      logger,
      handlersFor: (submitter) => nixHandlers(submitter, work),
    },
  );
}

/** Builds of somebody's Nix as jobs of the agent in this process. */
export function nixHandlers(
  submitter: string,
  { runner, queryValidPaths, cores }: Omit<ServeNixComponents, 'logger'>,
): ClientHandlers {
  return buildHandlers({ port: runnerPort(runner, submitter), defaultCores: () => cores, queryValidPaths });
}

/** Jobs of the agent in this process. */
function runnerPort(runner: ServeNixComponents['runner'], submitter: string): BuildPort {
  return {
    async build({ options, inputs, signal, onEvent }) {
      const job = runner.create(options, submitter);
      const stop = job.onEvent(onEvent);
      try {
        await runner.run(job, inputs, signal);
      } finally {
        stop();
      }
    },
  };
}
