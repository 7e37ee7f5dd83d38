import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, createNet, type Logger, type MeshNet, systemClock } from '@mesh/net';
import { DaemonClient, DaemonPool, type NixSystemInfo, systemInfo } from '@mesh/nix';
import { createTransfer, type Transfer } from '@mesh/transfer';
import type { AgentInit } from './agent-init.ts';
import { MACHINE_CONFIG_DIR } from './config/layers.ts';
import { type AgentSettings, readSettings } from './config/settings.ts';
import { probeTrust } from './daemon-trust.ts';
import { stderrLogger } from './logger.ts';
import { MachineFacts } from './machine/facts.ts';
import { resolvePaths } from './paths.ts';
import { AGENT_VERSION } from './version.ts';
import { keepLimits } from './worker/kept-limits.ts';
import { KeptResults } from './worker/kept-results.ts';

/** What every side of an agent stands on: its settings, its machine, its nix-daemon, the network and the data plane. */
export interface Foundation {
  readonly settings: AgentSettings;
  readonly stateDir: string;
  /** For Unix sockets. The first one must be had, another only if no other agent is there. */
  readonly socketDirs: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tells this run of the agent from others. */
  readonly incarnation: string;
  readonly nix: NixSystemInfo;
  /** How to reach nix-daemon: where it listens, if that is not the usual place. */
  readonly daemon: { readonly socketPath?: string };
  readonly connectDaemon: () => Promise<DaemonClient>;
  /** For questions to the daemon that are short. */
  readonly pool: DaemonPool;
  /** Whether the daemon trusts the agent's user. */
  readonly trust: DaemonClient['trust'];
  readonly facts: MachineFacts;
  readonly net: MeshNet;
  readonly transfer: Transfer;
  readonly kept: KeptResults;
}

/**
 * Nothing listens yet.
 * @throws AgentError AGENT_BAD_CONFIG; NixError where Nix or its daemon is missing or too old; NetError for a bad identity file
 */
export async function layFoundation(init: AgentInit): Promise<Foundation> {
  const paths = resolvePaths({ uid: process.getuid?.() ?? 0, env: process.env, stateDir: init.stateDir });
  const stateDir = init.stateDir ?? paths.stateDir;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const settings = readSettings(stateDir, init, { machineDir: MACHINE_CONFIG_DIR, env: process.env });
  const clock = systemClock;
  const logger = init.logger ?? stderrLogger();
  const { daemonSocket } = init;
  const daemon = daemonSocket === undefined ? {} : { socketPath: daemonSocket };

  const nixInfo = systemInfo();
  const facts = await MachineFacts.gather(
    { stateDir, nix: nixInfo, slots: settings.slots },
    { clock, logger },
  );
  const nix = await nixInfo;
  const trust = await probeTrust(daemon, nix.trustedUsers);
  const pool = new DaemonPool({ ...daemon, max: 4 });
  const net = await createNet({
    stateDir,
    name: settings.name,
    listenPort: settings.listenPort,
    discovery: { mdns: settings.mdns },
    interfaces: settings.interfaces,
    peers: settings.peers,
    agentVersion: AGENT_VERSION,
  })({ logger, clock });
  const kept = new KeptResults(
    { dir: join(stateDir, 'kept'), limits: keepLimits(settings.keep) },
    { clock, logger, withDaemon: (work) => pool.use(work) },
  );
  const transfer = createTransfer({
    stateDir,
    trustedPublicKeys: nix.trustedPublicKeys,
    substituters: nix.substituters,
    listenPort: settings.transferPort,
    ...(init.serveCache && settings.cache !== undefined ? { binaryCache: settings.cache } : {}),
    ...(daemonSocket === undefined ? {} : { daemonSocket }),
  })({ net, identity: net.identity, daemon: pool, logger, onTold: (told) => kept.used(told) });

  return {
    settings,
    stateDir,
    socketDirs: [init.socketDir ?? paths.socketDir, init.defaultSocketDir].filter((dir) => dir !== undefined),
    clock,
    logger,
    incarnation: randomBytes(6).toString('hex'),
    nix,
    daemon,
    connectDaemon: () => DaemonClient.connect(daemon),
    pool,
    trust,
    facts,
    net,
    transfer,
    kept,
  };
}
