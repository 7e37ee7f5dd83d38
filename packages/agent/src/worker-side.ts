import { workProtocol } from '@mesh/wire';
import { AHEAD_SLOTS } from './constants.ts';
import { AgentError } from './errors.ts';
import type { Foundation } from './foundation.ts';
import { lostPaths } from './lost-paths.ts';
import { BuildConnections } from './worker/build-connections.ts';
import { freeBytesOn } from './worker/disk-room.ts';
import { submittersOnly } from './worker/offer.ts';
import { OfferKeeper } from './worker/offer-keeper.ts';
import { OutputKeeper } from './worker/output-keeper.ts';
import { OutputRoots } from './worker/output-roots.ts';
import { UploadLimitKeeper } from './worker/upload-limit.ts';
import { Worker } from './worker/worker.ts';

/** What this machine does for homes, its own included: its worker, and what its owner lets it give. */
export interface WorkerSide {
  readonly worker: Worker;
  readonly offers: OfferKeeper;
  readonly uploadLimit: UploadLimitKeeper;
  /** Keeps and signs what is built, here or for this home elsewhere. */
  readonly keeper: OutputKeeper;
}

/** @throws AgentError AGENT_BAD_STATE for a pause file that cannot be read */
export async function createWorkerSide(foundation: Foundation): Promise<WorkerSide> {
  const { settings, clock, logger, nix, facts, net, transfer, trust, connectDaemon } = foundation;
  const { peerId, name } = net.self;
  const { capability } = facts;
  const uploadLimit = new UploadLimitKeeper(settings.upload, clock, (bytesPerS) =>
    transfer.setUploadLimit(bytesPerS),
  );
  const roots = new OutputRoots(clock, connectDaemon);
  const keeper = new OutputKeeper({
    self: peerId,
    clock,
    logger,
    roots,
    kept: foundation.kept,
    // An untrusted user may sign nothing; its outputs serve this machine alone.
    signOutputs: async (outputs) => {
      if (trust !== 'untrusted') await transfer.signOutputs(outputs);
    },
    announce: (paths) => transfer.announce(paths),
  });
  // The offer is made before there is a worker that could run anything.
  let worker: Worker | undefined;
  const running = (): number => worker?.running ?? 0;
  const offers = await OfferKeeper.create(
    { stateDir: foundation.stateDir, config: settings.offer, ...capability },
    {
      clock,
      logger,
      load: () => facts.load(running()),
      onMains: () => facts.onMains(),
      daemonAnswers: () =>
        connectDaemon().then(
          (client) => {
            client.close();
            return true;
          },
          () => false,
        ),
      running,
      peerIdsOf: (submitter) =>
        net
          .members()
          .filter((member) => member.name === submitter || member.peerId === submitter)
          .map((member) => member.peerId),
    },
  );
  worker = new Worker(
    {
      self: peerId,
      name,
      incarnation: foundation.incarnation,
      capability,
      tags: settings.tags,
      submittersOnly: submittersOnly(settings.offer),
      aheadSlots: AHEAD_SLOTS,
      settings: {
        cores: nix.cores,
        maxSilentTimeSeconds: nix.maxSilentTimeSeconds,
        timeoutSeconds: nix.timeoutSeconds,
        // Nix 2.34 can miss the end of a connection and build on for nobody; with a `min-free` it looks up every ten seconds.
        overrides: nix.minFreeBytes === 0 ? { 'min-free': '1' } : {},
      },
    },
    offers.offer,
    {
      clock,
      logger,
      fetcher: transfer,
      connections: new BuildConnections(clock, connectDaemon),
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
      daemonIsDown: () => offers.daemonIsDown(),
      missingPaths: lostPaths,
    },
  );
  return { worker, offers, uploadLimit, keeper };
}

/** Builds for other homes, where nix-daemon lets the agent do so. */
export function serveMembers({ net, logger, trust }: Foundation, worker: Worker): void {
  if (trust === 'untrusted') {
    logger.warn(
      'nix-daemon does not trust this user: the agent builds for itself alone. Add the user to trusted-users in nix.conf to lend this machine to the mesh.',
    );
    return;
  }
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
