import type { Faults } from './faults.ts';
import { canBuild, type Machine, type Mesh } from './machine.ts';
import type { Network } from './network.ts';
import type { SimulatedBuilds } from './simulated-builds.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { SimulatedJob, Task } from './workload.ts';

export interface NixCosts {
  /** Nix's one loop stands still while its hook connects to a builder. */
  readonly dispatchMs: number;
  /** The same for an answer that starts nothing: no slot, or build it yourself. */
  readonly askMs: number;
  /** Queries, copying set-up and leave-taking of each remote build: in the builder's slot, beside the loop. */
  readonly remoteMs: number;
  /** `build-poll-interval`: what was told to come back later does so then. */
  readonly pollMs: number;
  /** Whether somebody wrote the machines' speeds into the machines file. */
  readonly speedFactors: boolean;
}

export interface NixComponents {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly builds: readonly SimulatedBuilds[];
  readonly mesh: Mesh;
  /** Indices of machines in the order in which somebody wrote them down. */
  readonly machinesFile: readonly number[];
  readonly tasks: readonly Task[];
  readonly costs: NixCosts;
  readonly faults: Faults;
}

interface Running {
  readonly machine: number;
  readonly attempt: number;
}

/**
 * One `nix build` with all other machines in its machines file, as its worker loop and `build-remote` work in Nix 2.34:
 * one loop that does one thing at a time and takes goals in the order of their names; a remote slot wherever
 * one is free, least load over speed factor first; a local one only when all remote ones are taken; otherwise the goal comes
 * back at the next poll. All inputs go up from the submitter, one upload to a machine at a time; all outputs come back to it.
 * Kinder than Nix: a builder's death costs only its builds' time, where Nix gives up.
 */
export class NixSubmitter {
  built = 0;
  finishedAt: number | undefined;
  readonly #job: SimulatedJob;
  readonly #components: NixComponents;
  readonly #home: number;
  readonly #rank: Map<number, number>;
  readonly #blockers = new Map<number, number>();
  readonly #dependants = new Map<number, number[]>();
  readonly #awake = new Set<number>();
  readonly #postponed = new Set<number>();
  readonly #wantsLocalSlot = new Set<number>();
  readonly #ended: number[] = [];
  readonly #running = new Map<number, Running>();
  readonly #attempts = new Map<number, number>();
  readonly #load: number[];
  readonly #uploadFreeAt: number[];
  readonly #has: Set<number>[];
  readonly #foreign: ReadonlySet<string>;
  #batch: number[] = [];
  #looping = false;
  #localBuilds = 0;
  #lastPoll: number | undefined;

  constructor(job: SimulatedJob, components: NixComponents) {
    const { mesh, tasks } = components;
    this.#job = job;
    this.#components = components;
    this.#home = job.home;
    this.#load = mesh.machines.map(() => 0);
    this.#uploadFreeAt = mesh.machines.map(() => 0);
    this.#has = mesh.machines.map(() => new Set());
    const byName = [...job.tasks].sort((a, b) => compare(tasks[a]!.name, tasks[b]!.name) || a - b);
    this.#rank = new Map(byName.map((task, rank) => [task, rank]));
    const systems = new Set(job.tasks.map((task) => tasks[task]!.system));
    this.#foreign = new Set(
      [...systems].filter((system) => !mesh.machines.some((machine) => isNative(machine, system))),
    );
  }

  start(): void {
    const { tasks } = this.#components;
    for (const index of this.#job.tasks) {
      const { dependencies } = tasks[index]!;
      this.#blockers.set(index, dependencies.length);
      if (dependencies.length === 0) this.#awake.add(index);
      for (const dependency of dependencies) {
        const list = this.#dependants.get(dependency);
        if (list === undefined) this.#dependants.set(dependency, [index]);
        else list.push(index);
      }
    }
    if (this.#job.tasks.length === 0) this.finishedAt = this.#components.clock.now;
    this.#loop();
  }

  machineDied(machine: number): void {
    for (const [task, running] of [...this.#running]) {
      if (running.machine !== machine) continue;
      this.#running.delete(task);
      this.#load[machine]!--;
      this.#awake.add(task);
    }
    this.#loop();
  }

  /** Goals one after the other until none is awake; then what has ended meanwhile is noticed. */
  #loop(): void {
    if (this.#looping || this.finishedAt !== undefined) return;
    const goal = this.#nextGoal();
    if (goal === undefined) return;
    this.#looping = true;
    this.#components.clock.after(this.#work(goal), () => {
      this.#looping = false;
      this.#loop();
    });
  }

  #nextGoal(): number | undefined {
    if (this.#batch.length === 0) {
      if (this.#awake.size === 0) this.#noticeEnded();
      this.#batch = [...this.#awake].sort((a, b) => this.#rank.get(b)! - this.#rank.get(a)!);
      this.#awake.clear();
    }
    return this.#batch.pop();
  }

  #noticeEnded(): void {
    const { clock, costs } = this.#components;
    for (const task of this.#ended.splice(0)) this.#done(task);
    if (this.#postponed.size === 0) {
      this.#lastPoll = undefined;
      return;
    }
    if (this.#lastPoll === undefined) {
      this.#lastPoll = clock.now;
      clock.after(costs.pollMs, () => this.#loop());
    } else if (clock.now >= this.#lastPoll + costs.pollMs) {
      this.#lastPoll = clock.now;
      for (const task of this.#postponed) this.#awake.add(task);
      this.#postponed.clear();
      clock.after(costs.pollMs, () => this.#loop());
    }
  }

  #done(task: number): void {
    const { clock } = this.#components;
    this.built++;
    const running = this.#running.get(task)!;
    this.#running.delete(task);
    if (running.machine === this.#home) this.#localBuilds--;
    for (const goal of this.#wantsLocalSlot) this.#awake.add(goal);
    this.#wantsLocalSlot.clear();
    for (const dependant of this.#dependants.get(task) ?? []) {
      const left = this.#blockers.get(dependant)! - 1;
      this.#blockers.set(dependant, left);
      if (left === 0) this.#awake.add(dependant);
    }
    if (this.built === this.#job.tasks.length) this.finishedAt = clock.now;
  }

  /** Milliseconds the loop stands still for this goal. */
  #work(goal: number): number {
    const { costs, tasks, mesh } = this.#components;
    const task = tasks[goal]!;
    const localSlot = this.#localBuilds < mesh.machines[this.#home]!.slots;
    const local = this.#able(this.#home, task);
    if (task.node.place !== 'anywhere' && local) {
      if (localSlot) this.#startHere(task);
      else this.#wantsLocalSlot.add(goal);
      return 0;
    }
    const machine = this.#freeRemote(task);
    if (machine !== undefined) {
      this.#startRemote(task, machine);
      return costs.dispatchMs;
    }
    if (local && localSlot) this.#startHere(task);
    else if (this.#someRemote(task)) this.#postponed.add(goal);
    else this.#wantsLocalSlot.add(goal);
    return costs.askMs;
  }

  #able(machine: number, { system, requiredFeatures }: Task): boolean {
    const info = this.#components.mesh.machines[machine]!;
    if (!canBuild(info, system, requiredFeatures)) return false;
    // Nobody lists a machine for what it only emulates where another is native.
    return isNative(info, system) || this.#foreign.has(system);
  }

  #someRemote(task: Task): boolean {
    return this.#components.mesh.machines.some((_, m) => m !== this.#home && this.#able(m, task));
  }

  #freeRemote(task: Task): number | undefined {
    const { mesh, network, costs } = this.#components;
    const factor = (m: number) => (costs.speedFactors ? mesh.machines[m]!.speed : 1);
    let best: number | undefined;
    for (const m of this.#components.machinesFile) {
      if (m === this.#home || !network.alive(m) || !this.#able(m, task)) continue;
      if (this.#load[m]! >= mesh.machines[m]!.slots) continue;
      if (best === undefined || isBetter(m, best, this.#load, factor)) best = m;
    }
    return best;
  }

  #startHere(task: Task): void {
    this.#localBuilds++;
    this.#attempt(task, this.#home);
    this.#build(task, this.#home, () => {
      this.#ended.push(task.index);
      this.#loop();
    });
  }

  #startRemote(task: Task, machine: number): void {
    const { clock, network, costs, tasks } = this.#components;
    this.#load[machine]!++;
    const attempt = this.#attempt(task, machine);
    const stillRuns = () => this.#running.get(task.index)?.attempt === attempt && network.alive(machine);
    clock.after(costs.dispatchMs, () => {
      clock.at(this.#uploadFreeAt[machine]!, () => {
        if (!stillRuns()) return;
        const missing = task.dependencies.filter((input) => !this.#has[machine]!.has(input));
        const bytes = missing.reduce((sum, input) => sum + tasks[input]!.outputBytes, 0);
        for (const input of missing) this.#has[machine]!.add(input);
        const uploaded = bytes === 0 ? clock.now : network.transfer(this.#home, machine, bytes);
        this.#uploadFreeAt[machine] = uploaded;
        clock.at(uploaded, () => {
          if (!stillRuns()) return;
          this.#build(task, machine, () => this.#bringBack(task, machine, stillRuns));
        });
      });
    });
  }

  #bringBack(task: Task, machine: number, stillRuns: () => boolean): void {
    const { clock, network, costs } = this.#components;
    this.#has[machine]!.add(task.index);
    const back = network.transfer(machine, this.#home, task.outputBytes) + costs.remoteMs;
    clock.at(back, () => {
      if (!stillRuns()) return;
      this.#load[machine]!--;
      this.#ended.push(task.index);
      this.#loop();
    });
  }

  #attempt(task: Task, machine: number): number {
    const attempt = (this.#attempts.get(task.index) ?? 0) + 1;
    this.#attempts.set(task.index, attempt);
    this.#running.set(task.index, { machine, attempt });
    return attempt;
  }

  #build(task: Task, machine: number, done: () => void): void {
    const { builds, mesh, faults } = this.#components;
    const { attempt } = this.#running.get(task.index)!;
    const here = [...this.#running.values()].filter((running) => running.machine === machine).length;
    const cores = Math.max(1, Math.floor(mesh.machines[machine]!.cores / Math.max(1, here)));
    const why = machine === this.#home ? 'No remote slot was free.' : 'A remote slot was free.';
    const straggle = faults.straggle(task.index, attempt);
    const start = () =>
      builds[machine]!.start(
        `${this.#home}/${task.index}/${attempt}`,
        { task, cores, attempt, race: false, why, straggle },
        ({ outcome }) => {
          if (outcome === 'done') done();
          // Nix would give up here; somebody runs it again.
          else start();
        },
      );
    start();
  }
}

function isNative(machine: Machine, system: string): boolean {
  return system === 'builtin' || (machine.systems.includes(system) && machine.emulated[system] === undefined);
}

/** Least load over speed factor, then the larger factor, then the smaller load, then the first in the file. */
function isBetter(
  a: number,
  b: number,
  load: readonly number[],
  factor: (machine: number) => number,
): boolean {
  const [loadA, loadB] = [load[a]! / factor(a), load[b]! / factor(b)];
  if (loadA !== loadB) return loadA < loadB;
  if (factor(a) !== factor(b)) return factor(a) > factor(b);
  return load[a]! < load[b]!;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
