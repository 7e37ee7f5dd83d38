import type { Clock, Logger } from '@mesh/net';
import type { HomeEffect } from '@mesh/schedule';
import type { LeaseInput } from '@mesh/wire';
import { loosest } from '../job/client-settings.ts';
import { derivationName, type PlannedDerivation } from '../job/planner.ts';
import type { BuildNotes } from './build-notes.ts';
import type { Claims } from './claims.ts';
import { asJobsSeeIt, noteHolders } from './finished-derivation.ts';
import { type Grants, givenLease } from './grants.ts';
import type { Holders } from './holders.ts';
import type { LeaseNews } from './lease-news.ts';
import type { OwnSlots } from './own-slots.ts';
import type { Plans } from './plans.ts';
import type { Runs } from './runs.ts';
import type { WorkerLinks } from './worker-links.ts';

type Effect<T extends HomeEffect['type']> = Extract<HomeEffect, { type: T }>;

/** What the decisions of a home are carried out with. */
export interface EffectTools {
  /** The home's own peer id. */
  self: string;
  clock: Clock;
  logger: Logger;
  runs: Runs;
  plans: Plans;
  grants: Grants;
  leaseNews: LeaseNews;
  holders: Holders;
  notes: BuildNotes;
  ownSlots: OwnSlots;
  links: Pick<WorkerLinks, 'send'>;
  claims: Pick<Claims, 'perform'>;
  /** Stores the log of a build that ran elsewhere, so that `nix log` works here. */
  storeLog(drvPath: string, lines: string[]): Promise<void>;
}

/** Carries out one thing that the home state machine decided: messages to workers, news to jobs, notes of what was learned. */
export function carryOut(effect: Exclude<HomeEffect, { type: 'wake-at' }>, tools: EffectTools): void {
  const { runs, leaseNews, notes, links } = tools;
  switch (effect.type) {
    case 'grant':
      grant(effect, tools);
      break;
    case 'revoke':
      links.send(effect.peerId, { type: 'revoke', lease: effect.lease, attempt: effect.attempt });
      break;
    case 'cancel': {
      const { lease, attempt, reason } = effect;
      links.send(effect.peerId, { type: 'cancel', lease, attempt, reason: reason.slice(0, 500) });
      leaseNews.ended(lease, 'cancelled', reason);
      break;
    }
    case 'advertise': {
      const { peerId, work, hungry, weight, sequence } = effect;
      links.send(peerId, { type: 'advertise', work, hungry, weight, sequence });
      break;
    }
    case 'derivation-finished':
      derivationFinished(effect, tools);
      break;
    case 'derivation-lost':
      derivationLost(effect, tools);
      break;
    case 'attempt-failed':
      leaseNews.requeued(effect.lease, effect.message);
      break;
    case 'impossible':
      // The `derivation-finished` that follows tells the job.
      break;
    case 'job-finished':
      jobFinished(effect, tools);
      break;
    case 'race-finished':
      for (const job of runs.jobs()) job.leases.raceFinished(effect.drvPath, effect);
      notes.raceFinished(derivationName(effect.drvPath), effect.raceWon);
      break;
    case 'outputs-differ':
      for (const job of runs.jobs()) job.outputsDiffer(effect.drvPath, effect);
      notes.outputsDiffer(derivationName(effect.drvPath));
      break;
    case 'claim':
    case 'release':
      tools.claims.perform(effect);
      break;
  }
}

function grant(effect: Effect<'grant'>, tools: EffectTools): void {
  const { peerId, drvPath } = effect;
  const planned = tools.plans.toBuild(drvPath);
  if (planned === undefined) throw new Error(`a lease was granted for ${drvPath}, which no job planned`);
  tools.ownSlots.answered(peerId, effect.request);
  tools.leaseNews.given(givenLease(effect));
  const inputs = planned.inputs.map((path) => inputAt(path, planned, tools));
  const message = tools.grants.give(effect, planned, inputs, tools.clock.monotonic());
  const limits = loosest(tools.runs.wanting(drvPath).map(({ job }) => job.options.limits));
  tools.links.send(peerId, limits === undefined ? message : { ...message, limits });
}

/** What nobody has built for this home it has itself, sources and what was valid here at the start, unless it left it to substituters. */
function inputAt(
  path: string,
  { upstream }: PlannedDerivation,
  { holders, plans, self }: EffectTools,
): LeaseInput {
  const known = holders.of(path);
  const isElsewhere = known.length > 0 || plans.isLeftToUpstream(path);
  return { path, holders: isElsewhere ? known : [self], ...(upstream.has(path) ? { upstream: true } : {}) };
}

function derivationFinished(effect: Effect<'derivation-finished'>, tools: EffectTools): void {
  const { drvPath, outcome } = effect;
  const { runs, plans, grants, self } = tools;
  const lease = 'lease' in outcome ? outcome.lease : undefined;
  const end = asJobsSeeIt(effect, lease === undefined ? undefined : grants.of(lease));
  noteHolders(tools.holders, effect, plans.of(drvPath));
  const jobs = runs.of(effect.jobs).map(({ job }) => job);
  for (const job of jobs) job.finished(drvPath, end);
  const log = jobs[0]?.logs.get(drvPath)?.stored() ?? [];
  if (end.peerId !== null && end.peerId !== self && log.length > 0) {
    tools.storeLog(drvPath, log).catch((error: unknown) => {
      tools.logger.warn({ err: error, drvPath }, 'a build log could not be stored');
    });
  }
  if (lease !== undefined) grants.end(lease);
}

function derivationLost({ drvPath, jobs }: Effect<'derivation-lost'>, { runs, plans }: EffectTools): void {
  const planned = plans.of(drvPath);
  const isFirst = planned !== undefined && plans.isFetchedAfterAll(drvPath);
  const message = isFirst
    ? `The substituters of another machine could not give ${drvPath}; this machine gets it.`
    : `The machine that had built ${drvPath} is gone; building it again.`;
  for (const { job } of runs.of(jobs)) {
    if (isFirst) job.planned([planned], 0, 0);
    job.reopened(drvPath);
    job.emit({ type: 'note', level: 'warn', message });
  }
}

function jobFinished(effect: Effect<'job-finished'>, { runs, plans, grants }: EffectTools): void {
  const run = runs.end(effect);
  if (run === undefined) return;
  const others = runs.entries().map(([, { derivations }]) => derivations);
  plans.forget(run.derivations, (drvPath) => others.some((other) => other.has(drvPath)));
  if (others.length === 0) grants.clear();
}
