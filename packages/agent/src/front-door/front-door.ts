import type { Logger } from '@mesh/net';
import {
  type ClientHandlers,
  DEFAULT_SOCKET_PATH,
  databaseStamp,
  PathInfoCache,
  STORE_DIR,
  serveDaemonClient,
} from '@mesh/nix';
import { type SshHostKey, SshServer, sshHostKey } from '@mesh/ssh';
import { connected } from '../builder/builder-server.ts';
import type { DerivationJobs } from '../builder/derivation-jobs.ts';
import type { FrontDoorKey } from '../config/sections/front-door.ts';
import { refusalFor } from './rights.ts';

export interface FrontDoorInit {
  readonly port: number;
  readonly address?: string | undefined;
  readonly keys: readonly FrontDoorKey[];
  /** The agent's own key, of which the host key is made: 32 bytes each. */
  readonly identity: { readonly seed: Uint8Array; readonly publicKey: Uint8Array };
  readonly daemonSocket?: string | undefined;
}

export interface FrontDoorComponents {
  readonly jobs: DerivationJobs;
  /** For clients that use the machine as a store: what the agent does for its own machine's Nix. */
  readonly storeHandlers: (submitter: string) => ClientHandlers;
  readonly logger: Logger;
}

/**
 * This machine's store and the mesh behind it for machines without an agent: `ssh-ng://mesh@HOST:PORT` as an ordinary builder and store.
 * What is uploaded goes to the real daemon, builds go to the mesh and their outputs come into this store.
 */
export class FrontDoor {
  readonly #server: SshServer<FrontDoorKey>;
  readonly #hostKey: SshHostKey;
  readonly #logger: Logger;

  /** @throws SshError SSH_BAD_CONFIG: names the key that is none */
  constructor(init: FrontDoorInit, { jobs, storeHandlers, logger }: FrontDoorComponents) {
    this.#logger = logger;
    this.#hostKey = sshHostKey(init.identity);
    const { port, address, keys, daemonSocket = DEFAULT_SOCKET_PATH } = init;
    const pathInfos = new PathInfoCache({ stamp: databaseStamp(daemonSocket), now: () => Date.now() });
    const handlersFor = (submitter: string): ClientHandlers => ({
      ...storeHandlers(submitter),
      async buildDerivation(request, talk) {
        if (request.mode !== 'normal') return 'pass';
        const { result } = await jobs.build(request, talk, { where: 'anywhere', submitter });
        // What is in this store now the real daemon finds built, and says so in its own words.
        const isKnown = [...request.derivation.outputs.values()].every(({ path }) => path !== '');
        return result.status === 0 && isKnown ? 'pass' : result;
      },
    });
    this.#server = new SshServer(
      { hostKey: this.#hostKey, port, address, keys },
      {
        serve: (key, client) =>
          serveDaemonClient({
            client,
            openDaemon: () => connected(daemonSocket),
            ...{ storeDirectory: STORE_DIR, pathInfos },
            handlers: key.rights === 'build' ? handlersFor(key.name) : {},
            refusal: refusalFor(key.rights),
          }),
        noted: (what, about) => logger.info(about, what),
      },
    );
  }

  /** `ssh-ed25519 AAAA…`. */
  get hostKey(): string {
    return this.#hostKey.publicKey;
  }

  /** The port listened on; undefined where it is not. */
  get port(): number | undefined {
    return this.#server.port;
  }

  /** A door that cannot be opened is no reason for an agent not to run. */
  async start(): Promise<void> {
    try {
      await this.#server.start();
      this.#logger.info({ port: this.port }, 'the front door is open');
    } catch (error) {
      this.#logger.warn({ err: error }, 'the front door cannot be opened');
    }
  }

  async stop(): Promise<void> {
    await this.#server.stop();
  }
}
