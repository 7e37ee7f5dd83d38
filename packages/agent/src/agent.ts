import type { MeshNet } from '@mesh/net';
import type { HomeMessage, WorkerMessage } from '@mesh/wire';
import type { AgentInit } from './agent-init.ts';
import { announceMachine } from './announcement.ts';
import { LOAD_INTERVAL_MS } from './constants.ts';
import { CacheControl } from './control/cache-control.ts';
import { ControlHandler } from './control/control-handler.ts';
import { ControlServer } from './control/control-server.ts';
import { watchHealth } from './doctor/health.ts';
import { createEntrances } from './entrances.ts';
import { layFoundation } from './foundation.ts';
import { createHomeSide } from './home-side.ts';
import { memoryChannelPair } from './memory-channel.ts';
import { AGENT_VERSION } from './version.ts';
import { createWorkerSide, serveMembers } from './worker-side.ts';

/** A running agent. */
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
 * Builds an agent out of its parts: the one place where all of them meet. Nothing listens before `start`.
 * @throws AgentError AGENT_BAD_CONFIG; NixError where Nix or its daemon is missing or too old; NetError for a bad identity file
 */
export async function createAgent(init: AgentInit): Promise<Agent> {
  const foundation = await layFoundation(init);
  const { settings, clock, logger, nix, trust, facts, pool, net, transfer, kept } = foundation;
  const { capability } = facts;

  const { worker, offers, uploadLimit, keeper } = await createWorkerSide(foundation);
  const { home, runner, history, historyShare, builders, copies, takenIn } = createHomeSide(
    foundation,
    keeper,
    () => announce(),
  );
  const ownersWords = { tags: settings.tags, closed: () => offers.offer.closed };
  const announce = (): void =>
    void announceMachine(net, facts, ownersWords, { running: worker.running, jobs: home.running });

  const { nixSockets, builder, frontDoor } = createEntrances(
    foundation,
    { runner, builders },
    {
      machines: init.serveControl,
      programs: init.serveNix ?? false,
    },
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
  const [server, ...otherServers] = (init.serveControl ? foundation.socketDirs : []).map(
    (dir) => new ControlServer(dir, control, logger),
  );
  let loadTimer: NodeJS.Timeout | undefined;

  return {
    control,
    net,
    async start() {
      await server?.start();
      for (const other of otherServers) {
        await other.start().catch((error: unknown) => {
          // Another agent is this machine's: this one is found by its own directory.
          logger.info({ err: error }, 'not served where commands look that name no directory');
        });
      }
      const [homeEnd, workerEnd] = memoryChannelPair<HomeMessage, WorkerMessage>();
      home.attachOwnWorker(homeEnd);
      void worker.serve(net.self.peerId, workerEnd);
      serveMembers(foundation, worker);
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
      for (const each of [server, ...otherServers]) await each?.stop();
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
      await takenIn.releaseAll();
    },
  };
}
