import { couldBuild, type FinishedDerivation, type OccupiedSlot, readyAt, speedFor } from './finished-run.ts';
import { SlotUse } from './slot-use.ts';
import type { DrvPath, PeerId, WorkerInfo } from './types.ts';

/**
 * What the time of a job beyond its lower bound went to. `planning`: evaluating and reading derivations. `slots`: every machine able to
 * was busy. `held`: one was free, but the derivation was not given to it. `slower-machine`: it ran on a slower machine than the fastest.
 * `transfer`: inputs moved. `overhead`: messages, roots, starting. `retry`: a machine failed. `other-jobs`: another job built it.
 * `result`: the result came home.
 */
export type DelayCause =
  | 'planning'
  | 'slots'
  | 'held'
  | 'slower-machine'
  | 'transfer'
  | 'overhead'
  | 'retry'
  | 'other-jobs'
  | 'result';

export interface JobDelays {
  /** Of each cause, milliseconds; together `wallMs - boundMs`. The largest first, none that is nothing. */
  readonly losses: readonly { readonly cause: DelayCause; readonly ms: number }[];
  /** The derivations that decided when the job ended, first to last: each waited for the one before. */
  readonly chain: readonly DrvPath[];
}

/**
 * The bound has waiting of its own where it is not the deciding chain's: machines must do the other work too. That is taken off what the
 * chain waited, in this order.
 */
const BOUND_COVERS: readonly DelayCause[] = [
  'slots',
  'held',
  'slower-machine',
  'overhead',
  'transfer',
  'other-jobs',
  'retry',
  'planning',
  'result',
];

/** A free slot's derivation is on its way that long after it was ready: a message there and back. */
const DISPATCH_MS = 50;

/**
 * Walks back from the last derivation that ended, always to the one it waited for, and says what each moment of the job went to that was
 * not building on the fastest machine. `boundMs` is at most `wallMs`, and at least what the chain's builds take on the fastest machines.
 */
export function delayCauses(job: {
  readonly wallMs: number;
  readonly boundMs: number;
  /** When the last part of the job was known. */
  readonly plannedMs: number;
  readonly derivations: readonly FinishedDerivation[];
  readonly machines: ReadonlyMap<PeerId, WorkerInfo>;
}): JobDelays {
  const all = new Map(job.derivations.map((derivation) => [derivation.drvPath, derivation]));
  const walk = new Walk(new SlotUse(job.derivations, job.machines), job.machines);
  const chain: DrvPath[] = [];
  let last: FinishedDerivation | undefined;
  for (const derivation of job.derivations)
    if (last === undefined || derivation.finishedMs > last.finishedMs) last = derivation;
  const builtMs = Math.min(job.wallMs, last?.finishedMs ?? 0);
  const knownMs = between(job.plannedMs, builtMs, job.wallMs);
  walk.back('result', job.wallMs, knownMs);
  walk.back('planning', knownMs, builtMs);
  for (let at = last; at !== undefined; ) {
    chain.push(at.drvPath);
    const ready = readyAt(at, all);
    walk.over(at, ready.ms);
    at = ready.by === undefined || chain.length > all.size ? undefined : ready.by;
  }
  walk.back('planning', walk.atMs, 0);
  return { losses: walk.losses(job.wallMs - job.boundMs), chain: chain.reverse() };
}

/** The account of one walk: every moment from the job's end back to its start goes to one cause, or to building. */
class Walk {
  /** How far back it has come. */
  atMs = 0;
  readonly #use: SlotUse;
  readonly #machines: ReadonlyMap<PeerId, WorkerInfo>;
  readonly #spent = new Map<DelayCause, number>();

  constructor(use: SlotUse, machines: ReadonlyMap<PeerId, WorkerInfo>) {
    this.#use = use;
    this.#machines = machines;
  }

  back(cause: DelayCause, fromMs: number, toMs: number): void {
    this.#add(cause, fromMs - toMs);
    this.atMs = toMs;
  }

  /** From a derivation's end (where the walk is) to when it was ready. */
  over(derivation: FinishedDerivation, readyMs: number): void {
    const { build } = derivation;
    const endMs = this.atMs;
    const ready = Math.min(readyMs, endMs);
    if (build === undefined) {
      this.back('other-jobs', endMs, ready);
      return;
    }
    const started = between(build.startedMs, ready, endMs);
    const leased = between(build.leasedMs, ready, started);
    const fetched = between(build.fetchedMs, leased, started);
    const able = this.#ableTo(derivation);
    this.#building(derivation, build.peerId, build.durationMs, endMs - started, able);
    this.#preparing(able, build.peerId, 'overhead', fetched, started);
    this.#preparing(able, build.peerId, 'transfer', leased, fetched);
    const retried = retries(derivation.attempts, ready, leased);
    if (retried === undefined) this.#waiting(able, ready, leased);
    else {
      this.#add('retry', retried.toMs - retried.fromMs);
      this.#waiting(able, ready, retried.fromMs);
      this.#waiting(able, retried.toMs, leased);
    }
    this.atMs = ready;
  }

  losses(totalMs: number): JobDelays['losses'] {
    let cover = [...this.#spent.values()].reduce((sum, ms) => sum + ms, 0) - totalMs;
    for (const cause of BOUND_COVERS) {
      const spent = this.#spent.get(cause) ?? 0;
      const covered = Math.min(cover, spent);
      if (covered === 0) continue;
      this.#spent.set(cause, spent - covered);
      cover -= covered;
    }
    return [...this.#spent]
      .map(([cause, ms]) => ({ cause, ms }))
      .filter(({ ms }) => ms > 0)
      .sort((a, b) => b.ms - a.ms);
  }

  #building(
    derivation: FinishedDerivation,
    peerId: PeerId,
    durationMs: number,
    tookMs: number,
    able: readonly PeerId[],
  ): void {
    const own = speedFor(this.#machines.get(peerId), derivation.system);
    const fastest = Math.max(
      own,
      ...able.map((other) => speedFor(this.#machines.get(other), derivation.system)),
    );
    const built = Math.min(durationMs, tookMs);
    this.#add('overhead', tookMs - built);
    this.#add('slower-machine', built * (1 - own / fastest));
  }

  /** Its machine has it: what it does then is told apart from waiting for a slot there. */
  #preparing(able: readonly PeerId[], peerId: PeerId, cause: DelayCause, fromMs: number, toMs: number): void {
    if (toMs <= fromMs) return;
    for (const { ms, free } of this.#use.pieces(able, fromMs, toMs))
      this.#add(free.has(peerId) ? cause : free.size > 0 ? 'held' : 'slots', ms);
  }

  /** Ready, and nobody has it. */
  #waiting(able: readonly PeerId[], fromMs: number, toMs: number): void {
    if (toMs <= fromMs) return;
    let free = 0;
    for (const piece of this.#use.pieces(able, fromMs, toMs)) {
      if (piece.free.size > 0) free += piece.ms;
      else this.#add('slots', piece.ms);
    }
    this.#add(free <= DISPATCH_MS ? 'overhead' : 'held', free);
  }

  #ableTo(derivation: FinishedDerivation): PeerId[] {
    const able: PeerId[] = [];
    for (const [peerId, machine] of this.#machines) if (couldBuild(machine, derivation)) able.push(peerId);
    const own = derivation.build?.peerId;
    return own === undefined || able.includes(own) ? able : [...able, own];
  }

  #add(cause: DelayCause, ms: number): void {
    if (ms > 0) this.#spent.set(cause, (this.#spent.get(cause) ?? 0) + ms);
  }
}

/** From when a machine that failed it had it until the last such failure, within these times. */
function retries(
  attempts: readonly OccupiedSlot[],
  fromMs: number,
  toMs: number,
): { fromMs: number; toMs: number } | undefined {
  const failed = attempts.filter(({ failed, endedMs }) => failed && endedMs > fromMs);
  if (failed.length === 0) return undefined;
  return {
    fromMs: between(Math.min(...failed.map(({ leasedMs }) => leasedMs)), fromMs, toMs),
    toMs: between(Math.max(...failed.map(({ endedMs }) => endedMs)), fromMs, toMs),
  };
}

function between(ms: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, ms));
}
