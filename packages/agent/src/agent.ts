import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createNet, type Logger, type MeshNet, systemClock } from '@mesh/net';
import { DaemonClient, DaemonPool, systemInfo } from '@mesh/nix';
import { createTransfer, isTransferError } from '@mesh/transfer';
import { type HomeMessage, type WorkerMessage, workProtocol } from '@mesh/wire';
import { builderLinesOf } from './agentless/builder-lines.ts';
import { AgentlessBuilders } from './agentless/builders.ts';
import { COPY_CONNECTIONS } from './agentless/constants.ts';
import { announceMachine } from './announcement.ts';
import { BuilderEntrance } from './builder/builder-entrance.ts';
import { DerivationJobs } from './builder/derivation-jobs.ts';
import { MACHINE_CONFIG_DIR } from './config/layers.ts';
import { readSettings } from './config/settings.ts';
import { AHEAD_SLOTS, LOAD_INTERVAL_MS } from './constants.ts';
import { CacheControl } from './control/cache-control.ts';
import { ControlHandler } from './control/control-handler.ts';
import { ControlServer } from './control/control-server.ts';
import { probeTrust } from './daemon-trust.ts';
import { watchHealth } from './doctor/health.ts';
import { AgentError } from './errors.ts';
import { FrontDoor } from './front-door/front-door.ts';
import { History } from './history/history.ts';
import { HistoryShare } from './history/history-share.ts';
import { Home } from './home/home.ts';
import { JobRunner } from './job/job-runner.ts';
import { stderrLogger } from './logger.ts';
import { MachineFacts } from './machine/facts.ts';
import { memoryChannelPair } from './memory-channel.ts';
import { nixHandlers, nixSocketIn } from './nix-socket/serve-nix.ts';
import { DaemonOutputRegistry } from './output-registry.ts';
import { resolvePaths } from './paths.ts';
import { Store } from './store.ts';
import { AGENT_VERSION } from './version.ts';
import { BuildConnections } from './worker/build-connections.ts';
import { freeBytesOn } from './worker/disk-room.ts';
import { keepLimits } from './worker/kept-limits.ts';
import { KeptResults } from './worker/kept-results.ts';
import { submittersOnly } from './worker/offer.ts';
import { OfferKeeper } from './worker/offer-keeper.ts';
import { OutputKeeper } from './worker/output-keeper.ts';
import { OutputRoots } from './worker/output-roots.ts';
import { type UploadConfig, UploadLimitKeeper } from './worker/upload-limit.ts';
import { Worker } from './worker/worker.ts';

export interface AgentInit {
  stateDir?: string;
  socketDir?: string;
  /** Served too, unless another agent is there already. */
  defaultSocketDir?: string;
  name?: string;
  listenPort?: number;
  /** TCP port of the data plane; 0 for any free one. */
  transferPort?: number;
  /** Agents to call: names, IP addresses or multiaddrs. */
  peers?: string[];
  mdns?: boolean;
  slots?: number;
  /** Takes the place of the configuration file's. */
  upload?: UploadConfig;
  /** Serve the local API on its sockets; a command that brings its own agent does not. */
  serveControl: boolean;
  /** Serve the binary cache to this machine's Nix; an agent that lives for one build does not. */
  serveCache?: boolean;
  /** Serve `nix.sock` to this machine's Nix; an agent that lives for one build does not. */
  serveNix?: boolean;
  logger?: Logger;
  /** Path of nix-daemon's socket, where it is not the usual one. */
  daemonSocket?: string;
}

/** A running agent: the one place where all parts are put together. */
export interface Agent {
  readonly control: ControlHandler;
  readonly net: MeshNet;
  /** @throws AgentError AGENT_ALREADY_RUNNING, AGENT_SOCKET; NetError NET_LISTEN_FAILED */
  start(): Promise<void>;
  /** Resolves when no job runs here. */
  idle(): Promise<void>;
  /** Cancels what runs, kills its builds, and takes leave of the mesh. */
  stop(): Promise<void>;
}

/**
 * Builds an agent out of its parts. Nothing listens before `start`.
 * @throws AgentError AGENT_BAD_CONFIG; NixError where Nix or its daemon is missing or too old; NetError for a bad identity file
 */
export async function createAgent(init: AgentInit): Promise<Agent> {
  const paths = resolvePaths({ uid: process.getuid?.() ?? 0, env: process.env, stateDir: init.stateDir });
  const stateDir = init.stateDir ?? paths.stateDir;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const settings = readSettings(stateDir, init, { machineDir: MACHINE_CONFIG_DIR, env: process.env });
  const logger = init.logger ?? stderrLogger();
  const clock = systemClock;
  const incarnation = randomBytes(6).toString('hex');
  const daemon = init.daemonSocket === undefined ? {} : { socketPath: init.daemonSocket };

  const nixInfo = systemInfo();
  const facts = await MachineFacts.gather(
    { stateDir, nix: nixInfo, slots: settings.slots },
    { clock, logger },
  );
  const nix = await nixInfo;
  const { capability } = facts;
  const trust = await probeTrust(daemon, nix.trustedUsers);
  const pool = new DaemonPool({ ...daemon, max: 4 });
  const store = new Store(pool);
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
    ...(init.daemonSocket === undefined ? {} : { daemonSocket: init.daemonSocket }),
  })({
    net,
    identity: net.identity,
    daemon: pool,
    logger,
    onTold: (paths) => kept.used(paths),
  });
  const uploadLimit = new UploadLimitKeeper(settings.upload, clock, (bytesPerS) =>
    transfer.setUploadLimit(bytesPerS),
  );
  const roots = new OutputRoots(clock, () => DaemonClient.connect(daemon));
  // An untrusted user may sign nothing; its outputs serve this machine alone.
  const signOutputs = async (outputs: string[]): Promise<void> => {
    if (trust !== 'untrusted') await transfer.signOutputs(outputs);
  };
  const keeper = new OutputKeeper({
    self: net.self.peerId,
    clock,
    logger,
    roots,
    kept,
    signOutputs,
    announce: (paths) => transfer.announce(paths),
  });
  // The offer is made before there is a worker that could run anything.
  let running = (): number => 0;
  const offers = await OfferKeeper.create(
    { stateDir, config: settings.offer, ...capability },
    {
      clock,
      logger,
      load: () => facts.load(running()),
      onMains: () => facts.onMains(),
      running: () => running(),
      peerIdsOf: (submitter) =>
        net
          .members()
          .filter(({ name, peerId }) => name === submitter || peerId === submitter)
          .map(({ peerId }) => peerId),
    },
  );
  const worker: Worker = new Worker(
    {
      self: net.self.peerId,
      name: net.self.name,
      incarnation,
      capability,
      tags: settings.tags,
      submittersOnly: submittersOnly(settings.offer),
      aheadSlots: AHEAD_SLOTS,
      settings: {
        cores: nix.cores,
        maxSilentTimeSeconds: nix.maxSilentTimeSeconds,
        // Nix 2.34 can miss the end of a connection and build on for nobody; with a `min-free` it looks up every ten seconds.
        overrides: nix.minFreeBytes === 0 ? { 'min-free': '1' } : {},
      },
    },
    offers.offer,
    {
      clock,
      logger,
      fetcher: transfer,
      connections: new BuildConnections(clock, () => DaemonClient.connect(daemon)),
      roots,
      keeper,
      news: {
        speed: () => facts.speed(),
        emulated: () => facts.emulated(),
        freeDiskBytes: () => offers.freeDiskBytes,
      },
      surroundings: {
        usage: facts.usage,
        oomKills: () => facts.oomKills(),
        memoryIsShort: () => offers.memoryIsShort,
        freeDiskBytes: () => freeBytesOn('/nix/store'),
      },
      missingPaths: lostPaths,
    },
  );
  running = () => worker.running;
  const history = new History(
    { stateDir, self: net.self.peerId },
    { clock, logger, isMember: (peerId) => net.isMember(peerId) },
  );
  const historyShare = new HistoryShare({ net, clock, logger, history });
  const copies = new DaemonPool({ ...daemon, max: COPY_CONNECTIONS });
  // A daemon that does not trust the agent takes in nothing that others built.
  const registers = trust !== 'untrusted';
  const usesBuilders = trust !== 'untrusted';
  const builders = new AgentlessBuilders(
    {
      self: net.self.peerId,
      ownSystem: nix.system,
      incarnation,
      maxSilentTimeSeconds: nix.maxSilentTimeSeconds,
    },
    {
      ...{ clock, logger, net, keeper, fetcher: transfer, local: copies, missingPaths: lostPaths },
      random: Math.random,
      lines: usesBuilders ? builderLinesOf(settings.builders, nix) : undefined,
      attach: (peerId, channel) => home.attachWorker(peerId, channel),
    },
  );
  const home: Home = new Home(
    { self: net.self.peerId, incarnation },
    {
      net,
      clock,
      logger,
      history,
      builders,
      storeLog: (drvPath, lines) => store.addBuildLog(drvPath, lines),
      ...(registers ? { outputRegistry: new DaemonOutputRegistry(daemon) } : {}),
      fetch: (inputs) => transfer.fetchClosure(inputs),
    },
  );
  let announce: () => void = () => undefined;
  const runner = new JobRunner({
    net,
    home,
    clock,
    planner: store.plannerComponents(transfer, history, registers),
    fetcher: transfer,
    rootPaths: () => store.holdRoots(() => DaemonClient.connect(daemon)),
    randomId: () => randomBytes(6).toString('hex'),
    lostPaths,
    onJobsChanged: () => {
      if (home.running > 0 && net.connectedMembers().length > 0) transfer.prepare();
      if (home.running > 0) builders.call();
      else builders.rest();
      announce();
    },
  });
  const validHere = (paths: string[]) => pool.use(async (client) => client.queryValidPaths(paths));
  const derivationJobs = new DerivationJobs(
    { self: net.self.peerId },
    { runner, nowS: () => clock.now() / 1_000 },
  );
  const frontDoor =
    settings.frontDoor === undefined || !init.serveControl
      ? undefined
      : new FrontDoor(
          { ...settings.frontDoor, identity: net.identity, daemonSocket: init.daemonSocket },
          {
            jobs: derivationJobs,
            storeHandlers: (submitter) => nixHandlers(submitter, { runner, queryValidPaths: validHere }),
            logger,
          },
        );
  const builder = new BuilderEntrance(
    {
      dirs: init.serveControl
        ? [init.socketDir ?? paths.socketDir, init.defaultSocketDir].filter((dir) => dir !== undefined)
        : [],
      daemonSocket: init.daemonSocket,
    },
    { net, jobs: derivationJobs, members: transfer.memberPaths, logger },
  );
  const control = new ControlHandler({
    net,
    cache: new CacheControl({ net, pool, transfer, nix, kept }),
    runner,
    offers,
    frontDoor,
    builders,
    health: watchHealth(net, { trust, mdns: settings.mdns }, () => clock.now()),
    version: AGENT_VERSION,
    nixVersion: capability.nixVersion,
  });
  const serveAt = (dir: string): ControlServer => new ControlServer(dir, control, logger);
  const server = init.serveControl ? serveAt(init.socketDir ?? paths.socketDir) : undefined;
  const defaultServer =
    init.serveControl && init.defaultSocketDir !== undefined ? serveAt(init.defaultSocketDir) : undefined;
  const nixSockets = [init.socketDir ?? paths.socketDir, init.defaultSocketDir ?? []]
    .flat()
    .filter(() => init.serveNix && settings.nixSocket)
    .map((dir) =>
      nixSocketIn(dir, init.daemonSocket, {
        runner,
        queryValidPaths: validHere,
        logger,
      }),
    );
  let loadTimer: NodeJS.Timeout | undefined;
  const ownersWords = { tags: settings.tags, closed: () => offers.offer.closed };
  announce = () =>
    void announceMachine(net, facts, ownersWords, { running: worker.running, jobs: home.running });

  return {
    control,
    net,
    async start() {
      await server?.start();
      await defaultServer?.start().catch((error: unknown) => {
        // Another agent is this machine's: this one is found by its own directory.
        logger.info({ err: error }, 'not served where commands look that name no directory');
      });
      const [homeEnd, workerEnd] = memoryChannelPair<HomeMessage, WorkerMessage>();
      home.attachOwnWorker(homeEnd);
      void worker.serve(net.self.peerId, workerEnd);
      if (trust === 'untrusted') {
        logger.warn(
          'nix-daemon does not trust this user: the agent builds for itself alone. Add the user to trusted-users in nix.conf to lend this machine to the mesh.',
        );
      } else {
        net.handle(workProtocol, async (channel, peerId) => {
          if (!net.rolesOf(peerId).includes('submit')) {
            throw new AgentError(
              'AGENT_NOT_PERMITTED',
              'This machine may not submit work to the mesh; invite it again with the role submit.',
            );
          }
          await worker.serve(peerId, channel);
        });
      }
      for (const nixSocket of nixSockets) {
        await nixSocket.start().catch((error: unknown) => {
          // As with the local API: the machine's place may have an agent already.
          logger.warn({ err: error }, 'plain Nix is not served here');
        });
      }
      home.start();
      builders.start();
      transfer.start();
      uploadLimit.start();
      void kept.load();
      historyShare.start();
      await builder.start();
      await frontDoor?.start();
      await net.start();
      void history.open();
      announce();
      loadTimer = setInterval(announce, LOAD_INTERVAL_MS);
      loadTimer.unref();
      let closed = offers.offer.closed;
      offers.start((offer) => {
        worker.setOffer(offer);
        if (offer.closed === closed) return;
        closed = offer.closed;
        announce();
      });
      facts.start(() => worker.running > 0 || home.running > 0, announce);
      logger.info(
        { peerId: net.self.peerId, meshId: net.meshId, systems: capability.systems, slots: capability.slots },
        `agent ${net.self.name} is up`,
      );
    },
    idle: () => runner.idle(),
    async stop() {
      clearInterval(loadTimer);
      facts.stop();
      await builder.stop();
      await frontDoor?.stop();
      offers.stop();
      uploadLimit.stop();
      await runner.stop();
      for (const nixSocket of nixSockets) await nixSocket.stop();
      await server?.stop();
      await defaultServer?.stop();
      await home.stop();
      await builders.stop();
      await worker.stop();
      historyShare.stop();
      await net.stop();
      await history.close();
      await transfer.stop();
      await kept.stop();
      pool.close();
      copies.close();
    },
  };
}

/** Paths that neither a member nor a substituter could give. */
function lostPaths(error: unknown): string[] {
  return isTransferError(error) && error.code === 'TRANSFER_NO_SOURCE' ? [...error.paths] : [];
}
