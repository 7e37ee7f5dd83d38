import {
  type HomeEffect,
  type HomeEvent,
  type HomeState,
  initialHome,
  type JobOptions,
  stepHome,
} from '@mesh/schedule';
import { CLAIM_PATIENCE_MS } from './constants.ts';
import { SimulatorError } from './errors.ts';
import type { Network } from './network.ts';
import type { SimulatedStore } from './simulated-store.ts';
import type { SimulatedWorker } from './simulated-worker.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { SimulatedJob, Task } from './workload.ts';

type WithoutNow<T> = T extends unknown ? Omit<T, 'now'> : never;
type Effect<T extends HomeEffect['type']> = Extract<HomeEffect, { type: T }>;

/** What Nix takes to evaluate at the least: workers are called meanwhile. */
const EVALUATION_MS = 50;

/** A lease on its way to a worker. */
export interface Grant {
  readonly effect: Effect<'grant'>;
  readonly task: Task;
}

export interface HomeComponents {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly tasks: readonly Task[];
  readonly store: SimulatedStore;
  /** By peer id. */
  readonly workers: ReadonlyMap<string, SimulatedWorker>;
  /** By peer id, this one too. */
  readonly homes: ReadonlyMap<string, SimulatedHome>;
  readonly heartbeatMs: number;
  /** Milliseconds of a real clock, to measure what decisions cost. */
  readonly stopwatch: () => number;
}

/** Leases live as long as three heartbeats. */
const LEASE_HEARTBEATS = 10 / 3;

/** Results that were on a machine that is away are asked for again this often. */
const RETRY_MS = 1_000;

/** One agent's home: carries out what `stepHome` decides, in virtual time. */
export class SimulatedHome {
  readonly index: number;
  readonly peerId: string;
  /** Steps taken, leases granted, and real milliseconds all steps took. */
  steps = 0;
  grants = 0;
  stepMs = 0;
  /** Virtual milliseconds losers of races had spent. */
  racedMs = 0;
  races = 0;
  /** When the last of its jobs had everything it wanted; undefined before. */
  finishedAt: number | undefined;
  readonly #components: HomeComponents;
  readonly #state: HomeState;
  readonly #job: SimulatedJob;
  readonly #taskOf: ReadonlyMap<string, number>;
  readonly #holders = new Map<number, Set<number>>();
  readonly #unanswered = new Map<number, Set<string>>();
  readonly #finished: (task: number) => void;
  #wake = 0;

  /** `finished` hears of every derivation this home counts as built by one of its leases. */
  constructor(
    peerId: string,
    job: SimulatedJob,
    taskOf: ReadonlyMap<string, number>,
    components: HomeComponents,
    finished: (task: number) => void,
  ) {
    this.index = job.home;
    this.peerId = peerId;
    this.#job = job;
    this.#taskOf = taskOf;
    this.#components = components;
    this.#finished = finished;
    const leaseMs = components.heartbeatMs * LEASE_HEARTBEATS;
    this.#state = initialHome({ self: peerId, incarnation: peerId, leaseMs, graceMs: leaseMs });
  }

  /** Submits its job. */
  submit(options: JobOptions): void {
    const { id, tasks } = this.#job;
    for (const other of this.#components.homes.values())
      if (other !== this) this.dispatch({ type: 'home-up', from: other.peerId });
    this.dispatch({ type: 'job-added', job: id, options });
    const derivations = tasks.map((task) => this.#components.tasks[task]!.node);
    const { clock } = this.#components;
    clock.at(clock.now + EVALUATION_MS, () => {
      this.dispatch({ type: 'derivations-added', job: id, derivations });
      this.dispatch({ type: 'job-sealed', job: id });
    });
  }

  /** Machines said to have the outputs of a task. */
  holdersOf(task: number): Iterable<number> {
    return this.#holders.get(task) ?? [];
  }

  /** A worker could get these from nobody. */
  lost(tasks: readonly number[]): void {
    for (const task of tasks) {
      this.#holders.delete(task);
      this.dispatch({ type: 'outputs-lost', drvPath: this.#components.tasks[task]!.drvPath });
    }
  }

  dispatch(event: WithoutNow<HomeEvent>): void {
    const { clock, stopwatch } = this.#components;
    const began = stopwatch();
    const { effects } = stepHome(this.#state, { ...event, now: clock.now } as HomeEvent);
    this.stepMs += stopwatch() - began;
    this.steps++;
    for (const effect of effects) this.#perform(effect);
  }

  /** For a sentence about a job that does not end. */
  describe(): string {
    const { ready, leases } = this.#state;
    const remaining = this.#state.jobs.get(this.#job.id)?.remaining ?? 0;
    return `${this.peerId} has ${remaining} derivations left, ${ready} ready and ${leases.size} leased`;
  }

  #perform(effect: HomeEffect): void {
    switch (effect.type) {
      case 'grant':
        this.#grant(effect);
        break;
      case 'revoke':
        this.#toWorker(effect.peerId, (worker) =>
          worker.dispatch({ type: 'revoke', home: this.peerId, lease: effect.lease }),
        );
        break;
      case 'cancel':
        this.#toWorker(effect.peerId, (worker) =>
          worker.dispatch({ type: 'cancelled', home: this.peerId, lease: effect.lease }),
        );
        break;
      case 'advertise': {
        const { work, sequence, hungry, weight } = effect;
        this.#toWorker(effect.peerId, (worker) =>
          worker.dispatch(
            work
              ? { type: 'home-advertised', home: this.peerId, sequence, hungry, weight }
              : { type: 'home-withdrawn', home: this.peerId, sequence },
          ),
        );
        break;
      }
      case 'derivation-finished':
        this.#derivationFinished(effect);
        break;
      case 'job-finished':
        this.#jobFinished(effect);
        break;
      case 'race-finished':
        this.races++;
        this.racedMs += effect.wastedMs;
        break;
      case 'claim':
        this.#claim(effect);
        break;
      case 'release':
        for (const home of this.#others(effect.to))
          this.#toHome(home, () =>
            home.dispatch({ type: 'claim-released', from: this.peerId, releases: effect.releases }),
          );
        break;
      case 'wake-at': {
        const wake = ++this.#wake;
        this.#components.clock.at(effect.at, () => {
          if (wake === this.#wake) this.dispatch({ type: 'tick' });
        });
        break;
      }
      case 'outputs-differ':
        throw new SimulatorError('SIMULATOR_BROKEN', `Two builds of ${effect.drvPath} were said to differ.`);
      case 'derivation-lost':
      case 'attempt-failed':
      case 'impossible':
        break;
    }
  }

  #grant(effect: Effect<'grant'>): void {
    this.grants++;
    const task = this.#components.tasks[this.#taskOf.get(effect.drvPath)!]!;
    this.#toWorker(effect.peerId, (worker) => worker.granted(this.peerId, { effect, task }));
  }

  #derivationFinished({ drvPath, outcome }: Effect<'derivation-finished'>): void {
    const task = this.#components.tasks[this.#taskOf.get(drvPath)!]!;
    if (outcome.type === 'failed')
      throw new SimulatorError('SIMULATOR_BROKEN', `${task.name} failed: ${outcome.message}`);
    const peers = outcome.type === 'built' ? [outcome.peerId] : outcome.holders;
    for (const peer of peers) {
      const machine = this.#components.workers.get(peer)!.index;
      this.#holds(task.index, machine);
      // To build it, that machine had to have the inputs.
      if (outcome.type === 'built') for (const input of task.dependencies) this.#holds(input, machine);
    }
    if (outcome.type === 'built') this.#finished(task.index);
  }

  #jobFinished({ ok, failed, skipped }: Effect<'job-finished'>): void {
    if (!ok)
      throw new SimulatorError(
        'SIMULATOR_BROKEN',
        `${this.#job.id} ended with ${failed.length} failed and ${skipped.length} skipped.`,
      );
    this.#bringHome();
  }

  /** What a machine had that is away comes when it is back. */
  #bringHome(): void {
    const { store, clock } = this.#components;
    store.bring(
      this.#job.roots,
      (task) => this.holdersOf(task),
      (lost) => {
        if (lost.length === 0) this.finishedAt = clock.now;
        else clock.after(RETRY_MS, () => this.#bringHome());
      },
    );
  }

  #claim({ stamp, drvs, to }: Effect<'claim'>): void {
    const others = this.#others(to);
    const settle = () => {
      if (this.#unanswered.delete(stamp)) this.dispatch({ type: 'claim-settled', stamp });
    };
    if (to === undefined) {
      this.#unanswered.set(stamp, new Set(others.map((home) => home.peerId)));
      this.#components.clock.after(CLAIM_PATIENCE_MS, settle);
    }
    for (const home of others)
      this.#toHome(home, () => {
        home.dispatch({ type: 'claim-received', from: this.peerId, stamp, drvs });
        this.#components.network.send(home.index, this.index, () => {
          const waiting = this.#unanswered.get(stamp);
          waiting?.delete(home.peerId);
          if (waiting?.size === 0) settle();
        });
      });
  }

  #others(to: string | undefined): SimulatedHome[] {
    const { homes } = this.#components;
    if (to !== undefined) return [homes.get(to)!];
    return [...homes.values()].filter((home) => home !== this);
  }

  #holds(task: number, machine: number): void {
    const holders = this.#holders.get(task);
    if (holders === undefined) this.#holders.set(task, new Set([machine]));
    else holders.add(machine);
  }

  #toWorker(peerId: string, deliver: (worker: SimulatedWorker) => void): void {
    const worker = this.#components.workers.get(peerId)!;
    this.#components.network.send(this.index, worker.index, () => deliver(worker));
  }

  #toHome(home: SimulatedHome, deliver: () => void): void {
    this.#components.network.send(this.index, home.index, deliver);
  }
}
