import { advertise } from './appetite.ts';
import { CycleError } from './errors.ts';
import { shortestMs } from './estimates.ts';
import type { JobEvent } from './home-protocol.ts';
import { type Derivation, isFinished, type Job, type Step } from './home-state.ts';
import { endIfDone, endJob, fail, rebuildIfNeeded, skipDependants } from './outcomes.ts';
import { claimAll } from './ownership.ts';
import { plausiblePrediction } from './plausible.ts';
import { classFor, consider, enqueue, enterClass, reclass } from './ready-queue.ts';
import type { DerivationNode, DrvPath, JobId, JobOptions } from './types.ts';

/** Carries out what happens to a job. */
export function handleJob(step: Step, event: JobEvent): void {
  const { state } = step;
  if (event.type === 'predictions-changed') {
    for (const [drvPath, prediction] of event.predictions)
      predictAnew(step, drvPath, plausiblePrediction(prediction));
    return;
  }
  const job = state.jobs.get(event.job);
  if (event.type === 'job-added') {
    if (job === undefined) addJob(step, event.job, event.options);
    return;
  }
  if (job === undefined) return;
  switch (event.type) {
    case 'derivations-added':
      addDerivations(step, job, event.derivations);
      break;
    case 'job-sealed':
      job.sealed = true;
      refreshPriorities(step, true);
      failIncomplete(step, job);
      if (state.jobs.has(job.job)) endIfDone(step, job);
      break;
    case 'job-cancelled':
      endJob(step, job, true);
      break;
  }
}

function addJob(step: Step, id: JobId, options: JobOptions): void {
  const { state } = step;
  const texts = (selectors: JobOptions['only']) =>
    selectors?.map((selector) => JSON.stringify(selector.terms)).sort();
  const policy = JSON.stringify([texts(options.only), texts(options.not), texts(options.prefer)]);
  state.jobs.set(id, {
    job: id,
    options,
    policy,
    sealed: false,
    running: 0,
    weight: options.priority ?? 1,
    lagMs: 0,
    derivations: new Set(),
    remaining: 0,
    failed: [],
    skipped: [],
  });
  // Before there is anything to lease, so that requests are parked when there is.
  for (const peerId of state.workers.keys()) advertise(step, peerId, true);
}

function addDerivations(step: Step, job: Job, nodes: readonly DerivationNode[]): void {
  const { state } = step;
  const added: Derivation[] = [];
  state.jobEnd = undefined;
  for (const node of nodes) {
    const known = state.graph.get(node.drvPath);
    if (known === undefined) added.push(addDerivation(step, job, plausiblePrediction(node)));
    else {
      // Whoever describes it without them does not count on them any more.
      if (node.heldBy === undefined)
        for (const holder of known.node.heldBy ?? []) known.holders.delete(holder);
      join(step, job, known);
    }
  }
  claimAll(
    step,
    added.filter((derivation) => !isFinished(derivation)),
  );
  // What is shared may have ended other jobs as well.
  for (const other of [...state.jobs.values()]) endIfDone(step, other);
}

function addDerivation(step: Step, job: Job, node: DerivationNode): Derivation {
  const { state } = step;
  const jobs = new Set<JobId>();
  const avoid = new Set(node.avoid);
  const dependencies = new Set(node.dependencies);
  const isHeld = node.heldBy !== undefined;
  const derivation: Derivation = {
    drvPath: node.drvPath,
    predictedMs: shortestMs(state, node),
    dependencies: [],
    dependants: [],
    bLevelMs: 0,
    mark: 0,
    node,
    age: state.nextAge++,
    jobs,
    status: isHeld ? 'built' : 'waiting',
    blockers: 0,
    attempt: 0,
    failures: 0,
    avoid,
    returns: 0,
    shunned: new Map(),
    leases: [],
    alone: node.history?.ranOutOfMemory ?? false,
    work: classFor(step, node, new Set([job.job]), avoid, 0),
    entry: 0,
    local: new Map(),
    localBytes: 0,
    claim: { stamp: 0, settled: false, deferredTo: undefined },
    holders: new Set(node.heldBy),
    outputBytes: isHeld ? (node.heldBytes ?? 0) : 0,
    hashes: undefined,
    outcome: undefined,
  };
  if (!isHeld) enterClass(derivation, derivation.work);
  state.graph.add(derivation, node.dependencies);
  // What came before it, and needs it, does not wait for it.
  if (isHeld) for (const dependant of derivation.dependants) unblock(step, dependant);
  derivation.blockers = dependencies.size;
  for (const dependency of derivation.dependencies) if (dependency.status === 'built') derivation.blockers--;
  join(step, job, derivation);
  // Jobs that share what needs this one wait for it too, whether they describe it themselves or not.
  for (const dependant of derivation.dependants)
    for (const id of dependant.jobs) join(step, state.jobs.get(id)!, derivation);
  for (const dependency of derivation.dependencies) {
    rebuildIfNeeded(step, dependency);
    if (dependency.status === 'failed' || dependency.status === 'skipped') skipDependants(step, dependency);
  }
  return derivation;
}

function unblock(step: Step, derivation: Derivation): void {
  derivation.blockers--;
  consider(step, derivation);
}

/** Takes over what is predicted now; what is built or being built keeps the prediction it was placed by. */
function predictAnew(
  { state }: Step,
  drvPath: DrvPath,
  { predictedMs, history }: Pick<DerivationNode, 'predictedMs' | 'history'>,
): void {
  const derivation = state.graph.get(drvPath);
  if (derivation === undefined || (derivation.status !== 'waiting' && derivation.status !== 'ready')) return;
  const node = { ...derivation.node, predictedMs, history };
  const shortest = shortestMs(state, node);
  derivation.work.remainingMs += predictedMs - derivation.node.predictedMs;
  derivation.work.shortestMs += shortest - derivation.predictedMs;
  derivation.node = node;
  derivation.predictedMs = shortest;
  state.jobEnd = undefined;
  derivation.alone ||= history?.ranOutOfMemory ?? false;
  state.graph.reweighed(derivation);
}

/** Makes a job want a derivation and everything known that it needs. */
function join(step: Step, job: Job, wanted: Derivation): void {
  const queue = [wanted];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (job.derivations.has(next)) continue;
    job.derivations.add(next);
    next.jobs.add(job.job);
    queue.push(...next.dependencies);
    if (next.outcome !== undefined)
      step.effects.push({
        type: 'derivation-finished',
        drvPath: next.drvPath,
        jobs: [job.job],
        outcome: next.outcome,
      });
    if (next.status === 'failed') job.failed.push(next.drvPath);
    else if (next.status === 'skipped') job.skipped.push(next.drvPath);
    else if (next.status === 'built') rebuildIfNeeded(step, next);
    else {
      job.remaining++;
      if (next.jobs.size > 1) reclass(step, next);
    }
  }
}

/** Gives ready derivations the priority the graph as it is now says, and fails those in a circle. */
export function refreshPriorities(step: Step, now: boolean): void {
  const { state } = step;
  const { changed, cycles } = state.graph.refresh(now);
  for (const derivation of changed) if (derivation.status === 'ready') enqueue(state, derivation);
  for (const cycle of cycles) {
    const { message } = new CycleError(cycle.map((derivation) => derivation.drvPath));
    for (const derivation of cycle)
      if (!isFinished(derivation)) fail(step, derivation, { type: 'failed', kind: 'invalid', message });
  }
}

/** Fails what waits for a derivation that no unfinished description can still bring. */
function failIncomplete(step: Step, job: Job): void {
  const { state } = step;
  for (const [derivation, path] of [...state.graph.awaited()]) {
    if (isFinished(derivation) || !derivation.jobs.has(job.job)) continue;
    if ([...derivation.jobs].some((id) => !state.jobs.get(id)!.sealed)) continue;
    fail(step, derivation, {
      type: 'failed',
      kind: 'invalid',
      message: `${derivation.node.name} needs ${path}, which is neither valid nor part of the job; start the build again.`,
    });
  }
}
