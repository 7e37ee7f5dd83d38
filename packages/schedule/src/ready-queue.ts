import { eligible } from './eligibility.ts';
import { parallelismOf, speedOn } from './estimates.ts';
import { Heap } from './heap.ts';
import {
  type Derivation,
  type HomeState,
  isFinished,
  type ReadyEntry,
  type Step,
  type WorkClass,
  type WorkerRecord,
  wakeAt,
} from './home-state.ts';
import type { DerivationNode, JobId, PeerId } from './types.ts';

/** Workers whose own queue a ready derivation joins when they hold equally many of its inputs. */
const MAX_NEARBY = 4;

/** Longest path first, then the one that frees more, then the older. */
export function moreUrgent(a: ReadyEntry, b: ReadyEntry): boolean {
  if (a.level !== b.level) return a.level > b.level;
  if (a.fanOut !== b.fanOut) return a.fanOut > b.fanOut;
  return a.derivation.age < b.derivation.age;
}

/** Puts a derivation among those the same workers may build, after anything that decides this has changed. */
export function reclass(step: Step, derivation: Derivation): void {
  const previous = derivation.work;
  const work = classFor(step, derivation.node, derivation.jobs, derivation.avoid, derivation.failures);
  if (work === previous) return;
  derivation.work = work;
  if (isFinished(derivation)) return;
  enterClass(derivation, work);
  leave(step.state, derivation, previous);
  if (derivation.status === 'ready') enqueue(step.state, derivation);
}

/** Counts an unfinished derivation in. */
export function enterClass(derivation: Derivation, work: WorkClass): void {
  work.members++;
  work.remainingMs += derivation.node.predictedMs;
  work.shortestMs += derivation.predictedMs;
}

/** Counts out a derivation that is finished or given up. */
export function leaveClass(state: HomeState, derivation: Derivation): void {
  leave(state, derivation, derivation.work);
}

function leave(state: HomeState, derivation: Derivation, work: WorkClass): void {
  work.members--;
  work.remainingMs -= derivation.node.predictedMs;
  work.shortestMs -= derivation.predictedMs;
  if (work.members === 0) state.classes.delete(work.key);
}

/** The class of derivations with this need, made when it is the first. Does not count the caller as a member. */
export function classFor(
  step: Step,
  node: DerivationNode,
  jobs: ReadonlySet<JobId>,
  avoid: ReadonlySet<PeerId>,
  failures: number,
): WorkClass {
  const { state } = step;
  const policies = new Map(
    [...jobs].map((id) => state.jobs.get(id)!).map((job) => [job.policy, job.options]),
  );
  const requiredFeatures = [...new Set(node.requiredFeatures)].sort();
  const lastTry = failures > 0 && failures >= state.maxAttempts - 1;
  const job = oldest(state, jobs);
  const key = JSON.stringify([
    job,
    node.system,
    requiredFeatures,
    node.place,
    [...policies.keys()].sort(),
    [...avoid].sort(),
    lastTry,
  ]);
  let work = state.classes.get(key);
  if (work === undefined) {
    work = {
      key,
      job,
      system: node.system,
      requiredFeatures,
      place: node.place,
      policies: [...policies.values()],
      avoid: new Set(avoid),
      lastTry,
      members: 0,
      remainingMs: 0,
      shortestMs: 0,
      heap: new Heap(moreUrgent),
      reverse: new Heap((a, b) => moreUrgent(b, a)),
      able: [],
      ableSet: new Set(),
      ableSpeeds: [],
      topSpeed: 1,
      capacity: 0,
      generation: 0,
      speeds: 0,
      impossibleSince: undefined,
    };
    state.classes.set(key, work);
    noteImpossible(step, work);
  }
  return work;
}

/** The job that has waited longest for it. */
function oldest(state: HomeState, jobs: ReadonlySet<JobId>): JobId {
  if (jobs.size > 1) for (const id of state.jobs.keys()) if (jobs.has(id)) return id;
  for (const id of jobs) return id;
  throw new Error('a derivation that no job wants has no class');
}

/** The workers that may take derivations of this class now. */
export function ableWorkers(state: HomeState, work: WorkClass): readonly WorkerRecord[] {
  if (work.generation !== state.generation) {
    work.able = eligible(work, state.workers.values());
    work.ableSet = new Set(work.able);
    work.generation = state.generation;
    work.speeds = 0;
  }
  if (work.speeds !== state.speeds) {
    work.speeds = state.speeds;
    work.topSpeed = 0;
    work.capacity = 0;
    work.ableSpeeds = work.able.map((worker) => speedOn(state, worker, work.system));
    for (const [index, worker] of work.able.entries()) {
      const speed = work.ableSpeeds[index]!;
      work.topSpeed = Math.max(work.topSpeed, speed);
      work.capacity += speed * parallelismOf(worker.info);
    }
  }
  return work.able;
}

/** Starts or stops the clock after which derivations that nobody can build fail. */
export function noteImpossible(step: Step, work: WorkClass): void {
  if (ableWorkers(step.state, work).length > 0) work.impossibleSince = undefined;
  else {
    work.impossibleSince ??= step.now;
    wakeAt(step, Math.max(step.now, work.impossibleSince + step.state.impossibleAfterMs));
  }
}

/**
 * Makes `ready` or `waiting` what the derivation's blockers and claim say. Leased and finished ones are left alone.
 */
export function consider(step: Step, derivation: Derivation): void {
  const { state } = step;
  const { claim } = derivation;
  const mine = claim.settled && claim.deferredTo === undefined;
  if (derivation.status === 'waiting' && derivation.blockers === 0 && mine) {
    derivation.status = 'ready';
    state.ready++;
    weighInputs(derivation);
    enqueue(state, derivation);
    if (derivation.work.impossibleSince !== undefined) noteImpossible(step, derivation.work);
  } else if (derivation.status === 'ready' && !(derivation.blockers === 0 && mine)) {
    unready(state, derivation, 'waiting');
  }
}

/** Takes a ready derivation out of the queue; its entries become stale. */
export function unready(state: HomeState, derivation: Derivation, status: Derivation['status']): void {
  derivation.status = status;
  derivation.entry++;
  state.ready--;
}

/** (Re-)enters a ready derivation, with the priority it has now. */
export function enqueue(state: HomeState, derivation: Derivation): void {
  const entry: ReadyEntry = {
    derivation,
    entry: ++derivation.entry,
    level: derivation.bLevelMs,
    fanOut: derivation.dependants.length,
  };
  derivation.work.heap.push(entry);
  derivation.work.reverse.push(entry);
  let most = 0;
  for (const bytes of derivation.local.values()) most = Math.max(most, bytes);
  let entered = 0;
  for (const [peerId, bytes] of derivation.local) {
    if (bytes < most || entered === MAX_NEARBY) continue;
    state.workers.get(peerId)?.nearby.push(entry);
    entered++;
  }
}

/** The most urgent ready derivation of a class. */
export function firstOf(work: WorkClass): ReadyEntry | undefined {
  return firstLive(work.heap);
}

/** The least urgent ready derivation of a class. */
export function lastOf(work: WorkClass): ReadyEntry | undefined {
  return firstLive(work.reverse);
}

/** The most urgent ready derivation with its inputs at this worker, if the worker may build it. */
export function nearestTo(state: HomeState, worker: WorkerRecord): ReadyEntry | undefined {
  const entry = firstLive(worker.nearby);
  if (entry === undefined) return undefined;
  ableWorkers(state, entry.derivation.work);
  return entry.derivation.work.ableSet.has(worker) ? entry : undefined;
}

function firstLive(heap: Heap<ReadyEntry>): ReadyEntry | undefined {
  for (;;) {
    const entry = heap.peek();
    if (entry === undefined || entry.entry === entry.derivation.entry) return entry;
    heap.pop();
  }
}

/** Counts who has how much of the inputs; an output of unknown size counts a byte, to count at all. */
export function weighInputs(derivation: Derivation): void {
  const local = new Map<PeerId, number>();
  let total = 0;
  for (const dependency of derivation.dependencies) {
    const { heldBy } = dependency.node;
    const isNowhere =
      heldBy !== undefined && [...dependency.holders].every((holder) => heldBy.includes(holder));
    // It has to come from outside wherever it is needed, so where it is not known to be large it does not count.
    const bytes = Math.max(isNowhere ? 0 : 1, dependency.outputBytes);
    total += bytes;
    for (const holder of dependency.holders) local.set(holder, (local.get(holder) ?? 0) + bytes);
  }
  derivation.local = local;
  derivation.localBytes = total;
}
