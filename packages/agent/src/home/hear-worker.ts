import type { MeshNet } from '@mesh/net';
import type { HomeEvent, WorkerInfo } from '@mesh/schedule';
import type { WorkerMessage } from '@mesh/wire';
import type { WithoutNow } from '../step-loop.ts';
import type { BuildNotes } from './build-notes.ts';
import type { GoBetween } from './go-between.ts';
import type { Grants } from './grants.ts';
import type { Holders } from './holders.ts';
import type { LateOutputs } from './late-outputs.ts';
import type { LeaseNews } from './lease-news.ts';
import { noteLost } from './lost-inputs.ts';
import type { OwnSlots } from './own-slots.ts';
import type { Plans } from './plans.ts';
import type { Runs } from './runs.ts';
import { workerInfoOf } from './worker-info.ts';

type Message<T extends WorkerMessage['type']> = Extract<WorkerMessage, { type: T }>;

/** What a home needs to make of its workers' messages what they mean. */
export interface HearingTools {
  /** The home's own peer id. */
  self: string;
  net: Pick<MeshNet, 'members'>;
  nameOf(peerId: string): string;
  runs: Runs;
  plans: Plans;
  grants: Grants;
  leaseNews: LeaseNews;
  holders: Holders;
  goBetween: GoBetween;
  lateOutputs: LateOutputs;
  notes: BuildNotes;
  ownSlots: OwnSlots;
  /** A worker introduced itself, or is judged anew. */
  workerUp(worker: WorkerInfo): void;
  dispatch(event: WithoutNow<HomeEvent>): void;
}

/** Why a worker gives back what it has not built, where it says no more. */
const GIVEN_BACK = {
  revoked: 'it was asked back, because a slot elsewhere could begin it at once',
  busy: 'its machine had no slot for it after all',
} as const;

/** Takes in what a worker says: events for the state machine, news for the jobs, notes of what was learned. */
export function hearWorker(peerId: string, message: WorkerMessage, tools: HearingTools): void {
  const { leaseNews, ownSlots, dispatch } = tools;
  switch (message.type) {
    case 'worker':
      introduced(peerId, message, tools);
      break;
    case 'steal':
      if (!message.ahead) ownSlots.waits(peerId, message.request);
      dispatch({ ...message, peerId });
      break;
    case 'unsteal':
      ownSlots.answered(peerId, message.request);
      dispatch({ ...message, peerId });
      break;
    case 'heartbeat':
      dispatch({ ...message, peerId });
      break;
    case 'fetching': {
      const { paths, bytes, done } = message;
      leaseNews.each(peerId, message.lease, (job, lease) => {
        if (done === undefined) job.leases.fetching(lease, paths, bytes);
        else {
          const { bytesPerS, sources } = done;
          const soFar = { pathsDone: done.paths, bytesDone: done.bytes, bytesPerS, sources };
          job.leases.fetchProgress(lease, { ...soFar, pathsTotal: paths, bytesTotal: bytes });
        }
      });
      break;
    }
    case 'fetched':
      leaseNews.each(peerId, message.lease, (job, lease) => job.leases.fetched(lease, message.bytes));
      break;
    case 'started':
      leaseNews.each(peerId, message.lease, (job, lease) => job.leases.started(lease, message.cores));
      dispatch({ type: 'started', peerId, lease: message.lease, attempt: message.attempt });
      break;
    case 'log': {
      const { lines, phase } = message;
      leaseNews.each(peerId, message.lease, (job, lease) => job.leases.log(lease, lines, phase));
      break;
    }
    case 'returned':
      returned(peerId, message, tools);
      break;
    case 'result':
      result(peerId, message, tools);
      break;
  }
}

function introduced(peerId: string, message: Message<'worker'>, tools: HearingTools): void {
  const who = { peerId, name: tools.nameOf(peerId), isHome: peerId === tools.self };
  const record = tools.net.members().find((member) => member.peerId === peerId)?.record;
  tools.workerUp(tools.notes.judge(workerInfoOf(who, message, record)));
}

function returned(peerId: string, message: Message<'returned'>, tools: HearingTools): void {
  const { goBetween, grants } = tools;
  const isHeld = grants.heldBy(peerId, message.lease) !== undefined;
  if (isHeld && goBetween.canHelp(peerId, message.missing)) void helpOut(peerId, message, tools);
  else givenBack(peerId, message, tools);
}

/** A worker cannot get from its maker what this machine can: it is brought here, and the worker's lease given anew. */
async function helpOut(peerId: string, message: Message<'returned'>, tools: HearingTools): Promise<void> {
  const { self, plans, goBetween, dispatch } = tools;
  const { lease, attempt, missing } = message;
  const isHere = await goBetween.bring(missing, () =>
    dispatch({ type: 'heartbeat', peerId, leases: [{ lease, attempt }] }),
  );
  if (!isHere) {
    givenBack(peerId, message, tools);
    return;
  }
  for (const producer of new Set(missing.map((path) => plans.producerOf(path)))) {
    if (producer !== undefined) dispatch({ type: 'outputs-held', drvPath: producer, peerId: self });
  }
  const detail = 'what it could not get from another machine is brought home first';
  givenBack(peerId, { ...message, reason: 'revoked', detail, missing: [] }, tools);
}

function givenBack(peerId: string, message: Message<'returned'>, tools: HearingTools): void {
  const { lease, attempt, reason, detail, missing } = message;
  const { grants, leaseNews, dispatch } = tools;
  const granted = grants.heldBy(peerId, lease);
  if (granted !== undefined) {
    const { rebuild, replan } = noteLost(granted.drvPath, missing, tools);
    for (const drvPath of rebuild) dispatch({ type: 'outputs-lost', drvPath });
    for (const job of replan) dispatch({ type: 'job-cancelled', job });
  }
  if (reason !== 'machine' && grants.heldBy(peerId, lease) !== undefined)
    leaseNews.ended(lease, 'revoked', detail || GIVEN_BACK[reason]);
  dispatch({ type: 'returned', peerId, lease, attempt, reason, detail });
}

function result(peerId: string, message: Message<'result'>, tools: HearingTools): void {
  const { lease, attempt, outcome, buildMs, fetched } = message;
  const granted = tools.grants.heldBy(peerId, lease);
  if (granted !== undefined) {
    Object.assign(granted, { buildMs, fetched });
    learn(granted, message, tools);
    if (tools.plans.of(granted.drvPath)?.node.unresolved === true && outcome.type === 'built') {
      void tools.lateOutputs.takeIn(peerId, granted.drvPath, message);
      return;
    }
  }
  tools.dispatch({ type: 'result', peerId, lease, attempt, outcome });
}

/** Writes down how a lease ended; workers whose speed turns out to be another one are known by that from now on. */
function learn(
  { drvPath, peerId, cores }: { drvPath: string; peerId: string; cores: number },
  message: Message<'result'>,
  { plans, notes, runs, workerUp }: HearingTools,
): void {
  const planned = plans.of(drvPath);
  if (planned === undefined) return;
  for (const found of notes.result(planned, peerId, cores, message)) {
    for (const job of runs.jobs()) job.outputsDiffer(drvPath, found);
  }
  for (const worker of notes.changed()) workerUp(worker);
}
