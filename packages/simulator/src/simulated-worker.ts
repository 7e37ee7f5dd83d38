import {
  type BuildOutcome,
  initialWorker,
  type LeaseId,
  stepWorker,
  type WorkerCapacity,
  type WorkerInfo,
  type WorkerMachineEffect,
  type WorkerMachineEvent,
  type WorkerState,
} from '@mesh/schedule';
import { AHEAD_SLOTS } from './constants.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import type { BuildEnd, SimulatedBuilds } from './simulated-builds.ts';
import type { Grant, SimulatedHome } from './simulated-home.ts';
import type { SimulatedStore } from './simulated-store.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { Task } from './workload.ts';

type WithoutNow<T> = T extends unknown ? Omit<T, 'now'> : never;
type Effect<T extends WorkerMachineEffect['type']> = Extract<WorkerMachineEffect, { type: T }>;

export interface WorkerComponents {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly store: SimulatedStore;
  readonly builds: SimulatedBuilds;
  readonly tasks: readonly Task[];
  /** By peer id. */
  readonly homes: ReadonlyMap<string, SimulatedHome>;
  readonly heartbeatMs: number;
  /** Speed and link as this machine's homes believe them. */
  readonly believed: { readonly speed: number; linkBytesPerMsTo(home: number): number };
  /** How many times slower this attempt of a task runs. */
  readonly straggle: (task: number, attempt: number) => number;
  /** Says how much memory is free as it changes. */
  readonly reportMemory: boolean;
}

/** Share of the machine's own slots that its own jobs get while others fill the machine. */
const OWN_SHARE = 0.5;
/** Free memory is told again when it has changed by this share of the whole. */
const MEMORY_NEWS_SHARE = 0.05;

/** The worker of one machine: carries out what `stepWorker` decides, in virtual time. */
export class SimulatedWorker {
  readonly index: number;
  readonly machine: Machine;
  readonly peerId: string;
  readonly #components: WorkerComponents;
  readonly #granted = new Map<LeaseId, Grant>();
  #state: WorkerState;
  #life = 0;
  #wake = 0;
  #userPresent = false;
  #toldFreeMemory: number;

  constructor(index: number, machine: Machine, components: WorkerComponents) {
    this.index = index;
    this.machine = machine;
    this.peerId = peerIdOf(index);
    this.#components = components;
    this.#state = this.#newState();
    this.#toldFreeMemory = machine.memoryBytes;
  }

  /** Introduces itself to every home, as after connecting. */
  start(): void {
    this.dispatch({ type: 'capacity', capacity: this.#capacity() });
    this.#introduce();
  }

  /** Pulls the plug; what it has built stays on its disk. */
  die(): void {
    this.#components.builds.die();
    this.#components.store.restart();
    this.#granted.clear();
    this.#wake++;
  }

  /** Comes back with its store and nothing else. */
  restart(): void {
    this.#life++;
    this.#state = this.#newState();
    this.start();
  }

  userPresent(present: boolean): void {
    this.#userPresent = present;
    this.#components.builds.userPresent(present);
    this.dispatch({ type: 'capacity', capacity: this.#capacity() });
    this.#introduce();
  }

  /** A home's grant has arrived. */
  granted(home: string, grant: Grant): void {
    const { effect, task } = grant;
    this.#granted.set(effect.lease, grant);
    this.dispatch({
      type: 'leased',
      home,
      request: effect.request,
      lease: effect.lease,
      attempt: effect.attempt,
      drvPath: task.drvPath,
      ahead: effect.ahead,
      cores: effect.cores,
      memoryBytes: effect.memoryBytes,
      ...(effect.follows === undefined ? {} : { follows: effect.follows }),
    });
  }

  dispatch(event: WithoutNow<WorkerMachineEvent>): void {
    const now = this.#components.clock.now;
    const { effects } = stepWorker(this.#state, { ...event, now } as WorkerMachineEvent);
    for (const effect of effects) this.#perform(effect);
  }

  /** What it says it can do, to that home. */
  describe(home: number): WorkerInfo {
    const { machine } = this;
    const { believed, builds, reportMemory } = this.#components;
    const isHome = home === this.index;
    return {
      peerId: this.peerId,
      name: machine.name,
      isHome,
      systems: machine.systems,
      features: machine.features,
      slots: this.#userPresent && !isHome ? 0 : machine.slots,
      cores: machine.cores,
      speed: believed.speed,
      emulated: machine.emulated,
      memoryBytes: machine.memoryBytes,
      ...(reportMemory ? { freeMemoryBytes: builds.freeMemoryBytes } : {}),
      ...(isHome ? {} : { linkBytesPerMs: believed.linkBytesPerMsTo(home) }),
    };
  }

  #newState(): WorkerState {
    return initialWorker({
      self: this.peerId,
      incarnation: `${this.peerId}.${this.#life}`,
      slots: this.machine.slots,
      aheadSlots: AHEAD_SLOTS,
      heartbeatMs: this.#components.heartbeatMs,
    });
  }

  #capacity(): WorkerCapacity {
    const { machine } = this;
    return {
      slots: machine.slots,
      slotsForOthers: this.#userPresent ? 0 : machine.slots,
      cores: machine.cores,
      reservedSlots: Math.ceil(OWN_SHARE * machine.slots),
      ...(this.#components.reportMemory ? { freeMemoryBytes: this.#components.builds.freeMemoryBytes } : {}),
    };
  }

  #introduce(): void {
    for (const home of this.#components.homes.values())
      this.#toHome(home, () => home.dispatch({ type: 'worker-up', worker: this.describe(home.index) }));
  }

  #perform(effect: WorkerMachineEffect): void {
    switch (effect.type) {
      case 'fetch':
        this.#fetch(effect);
        break;
      case 'build':
        this.#build(effect);
        break;
      case 'abort':
        if (effect.building) {
          this.#components.builds.stop(effect.lease);
          this.#later(() => this.dispatch({ type: 'aborted', lease: effect.lease }));
        }
        break;
      case 'wake-at': {
        const wake = ++this.#wake;
        this.#components.clock.at(effect.at, () => {
          if (wake === this.#wake) this.dispatch({ type: 'tick' });
        });
        break;
      }
      case 'steal':
      case 'unsteal':
      case 'heartbeat':
      case 'started':
      case 'returned':
      case 'result': {
        const home = this.#components.homes.get(effect.home)!;
        if (effect.type === 'returned' || effect.type === 'result') this.#granted.delete(effect.lease);
        this.#toHome(home, () => home.dispatch({ ...effect, peerId: this.peerId }));
        break;
      }
    }
  }

  #fetch({ lease, home: homeId }: Effect<'fetch'>): void {
    const grant = this.#granted.get(lease)!;
    const home = this.#components.homes.get(homeId)!;
    const life = this.#life;
    this.#components.store.bring(
      grant.task.dependencies,
      (task) => home.holdersOf(task),
      (lost) => {
        if (life !== this.#life || !this.#components.network.alive(this.index)) return;
        if (lost.length === 0) {
          this.dispatch({ type: 'inputs-ready', lease });
          return;
        }
        this.#toHome(home, () => home.lost(lost));
        const names = lost.map((task) => this.#components.tasks[task]!.name).join(', ');
        this.dispatch({ type: 'inputs-failed', lease, message: `Nobody has ${names} any more.` });
      },
    );
  }

  #build({ lease, cores, attempt }: Effect<'build'>): void {
    const { task, effect } = this.#granted.get(lease)!;
    const { race, reason } = effect;
    const straggle = this.#components.straggle(task.index, attempt);
    const request = { task, cores, attempt, race, why: reason, straggle };
    this.#components.builds.start(lease, request, (end) => {
      if (end.outcome === 'done') this.#components.store.add(task.index);
      this.dispatch({ type: 'build-finished', lease, outcome: outcomeOf(task, end, cores) });
      this.#memoryChanged();
    });
    this.#memoryChanged();
  }

  #memoryChanged(): void {
    const { builds, reportMemory } = this.#components;
    if (!reportMemory) return;
    const free = builds.freeMemoryBytes;
    if (Math.abs(free - this.#toldFreeMemory) < MEMORY_NEWS_SHARE * this.machine.memoryBytes) return;
    this.#toldFreeMemory = free;
    this.#later(() => {
      this.dispatch({ type: 'capacity', capacity: this.#capacity() });
      this.#introduce();
    });
  }

  #toHome(home: SimulatedHome, deliver: () => void): void {
    this.#components.network.send(this.index, home.index, deliver);
  }

  #later(happen: () => void): void {
    this.#components.network.send(this.index, this.index, happen);
  }
}

export function peerIdOf(machine: number): string {
  return `m${machine}`;
}

function outcomeOf(task: Task, end: BuildEnd, cores: number): BuildOutcome {
  if (end.outcome === 'out-of-memory')
    return { type: 'machine-failure', message: `${task.name} ran out of memory.`, outOfMemory: true };
  const path = task.node.outputs[0]!;
  const wallMs = end.endMs - end.startMs;
  return {
    type: 'built',
    outputs: [{ name: 'out', path, narBytes: task.outputBytes, narHash: `sha256:${task.index}` }],
    timings: {
      startedMs: end.startMs,
      finishedMs: end.endMs,
      cpuMs: wallMs * busyCores(task.parallel, cores),
      memoryPeakBytes: task.memoryBytes,
    },
  };
}

/** Processor time over wall time of a build with these cores, by Amdahl's law. */
function busyCores(parallel: number, cores: number): number {
  return 1 / (1 - parallel + parallel / Math.max(1, cores));
}
