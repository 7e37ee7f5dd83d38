import { randomBytes } from 'node:crypto';
import { DaemonPool } from '@mesh/nix';
import { builderLinesOf } from './agentless/builder-lines.ts';
import { AgentlessBuilders } from './agentless/builders.ts';
import { COPY_CONNECTIONS } from './agentless/constants.ts';
import type { Foundation } from './foundation.ts';
import { History } from './history/history.ts';
import { HistoryShare } from './history/history-share.ts';
import { Home } from './home/home.ts';
import { JobRunner } from './job/job-runner.ts';
import { lostPaths } from './lost-paths.ts';
import { DaemonOutputRegistry } from './output-registry.ts';
import { Store } from './store.ts';
import type { OutputKeeper } from './worker/output-keeper.ts';
import { OutputRoots } from './worker/output-roots.ts';

/** What this machine does with jobs that were submitted here: the home, its builders without an agent, and what it learns of builds. */
export interface HomeSide {
  readonly home: Home;
  readonly runner: JobRunner;
  readonly history: History;
  readonly historyShare: HistoryShare;
  readonly builders: AgentlessBuilders;
  /** Connections on which builders without an agent are given their inputs. */
  readonly copies: DaemonPool;
  /** Keep content-addressed outputs that others built while they may be needed. */
  readonly takenIn: OutputRoots;
}

/**
 * @param keeper of this machine's worker
 * @param onJobsChanged called when the number of jobs may have changed
 */
export function createHomeSide(
  foundation: Foundation,
  keeper: OutputKeeper,
  onJobsChanged: () => void,
): HomeSide {
  const { settings, clock, logger, incarnation, nix, net, transfer, pool, connectDaemon } = foundation;
  const self = net.self.peerId;
  const store = new Store(pool);
  const history = new History(
    { stateDir: foundation.stateDir, self },
    { clock, logger, isMember: (peerId) => net.isMember(peerId) },
  );
  const copies = new DaemonPool({ ...foundation.daemon, max: COPY_CONNECTIONS });
  // A daemon that does not trust the agent takes in nothing that others built, and no word for it.
  const takesIn = foundation.trust !== 'untrusted';
  const builders = new AgentlessBuilders(
    {
      self,
      ownSystem: nix.system,
      incarnation,
      maxSilentTimeSeconds: nix.maxSilentTimeSeconds,
    },
    {
      ...{ clock, logger, net, keeper, fetcher: transfer, local: copies, missingPaths: lostPaths },
      random: Math.random,
      lines: takesIn ? builderLinesOf(settings.builders, nix) : undefined,
      attach: (peerId, channel) => home.attachWorker(peerId, channel),
    },
  );
  const takenIn = new OutputRoots(clock, connectDaemon);
  const home: Home = new Home(
    { self, incarnation },
    {
      net,
      clock,
      logger,
      history,
      builders,
      storeLog: (drvPath, lines) => store.addBuildLog(drvPath, lines),
      ...(takesIn ? { outputRegistry: new DaemonOutputRegistry(foundation.daemon, takenIn) } : {}),
      fetch: (inputs) => transfer.fetchClosure(inputs),
    },
  );
  const runner = new JobRunner({
    net,
    home,
    clock,
    planner: store.plannerComponents(transfer, history, takesIn),
    fetcher: transfer,
    rootPaths: () => store.holdRoots(connectDaemon),
    randomId: () => randomBytes(6).toString('hex'),
    lostPaths,
    onJobsChanged: () => {
      if (home.running > 0 && net.connectedMembers().length > 0) transfer.prepare();
      onJobsChanged();
    },
  });
  return {
    home,
    runner,
    history,
    historyShare: new HistoryShare({ net, clock, logger, history }),
    builders,
    copies,
    takenIn,
  };
}
