import { FETCH_OVERHEAD_MS, FETCH_PATH_MS } from './constants.ts';
import type { Network } from './network.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { Task } from './workload.ts';

export interface StoreComponents {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly tasks: readonly Task[];
  readonly stores: readonly SimulatedStore[];
}

/** The outputs one machine has, and how it gets those it lacks. It survives the machine's death. */
export class SimulatedStore {
  readonly #machine: number;
  readonly #components: StoreComponents;
  readonly #has = new Set<number>();
  /** Who waits for outputs that are under way here. */
  readonly #arriving = new Map<number, ((ok: boolean) => void)[]>();

  constructor(machine: number, components: StoreComponents) {
    this.#machine = machine;
    this.#components = components;
  }

  has(task: number): boolean {
    return this.#has.has(task);
  }

  add(task: number): void {
    this.#has.add(task);
  }

  /** What was under way is forgotten with the process that fetched it. */
  restart(): void {
    this.#arriving.clear();
  }

  missing(tasks: readonly number[]): number[] {
    return tasks.filter((task) => !this.#has.has(task));
  }

  /**
   * Brings the outputs of these tasks here from whoever `holdersOf` names and is alive; `done` hears which of them
   * nobody could give.
   */
  bring(
    tasks: readonly number[],
    holdersOf: (task: number) => Iterable<number>,
    done: (lost: readonly number[]) => void,
  ): void {
    const { clock } = this.#components;
    const missing = this.missing(tasks);
    const lost: number[] = [];
    let left = missing.length;
    const end = () => {
      const cost = missing.length === 0 ? 0 : FETCH_OVERHEAD_MS + missing.length * FETCH_PATH_MS;
      clock.after(cost, () => done(lost));
    };
    if (left === 0) {
      end();
      return;
    }
    for (const task of missing) {
      this.#fetch(task, holdersOf, (ok) => {
        if (!ok) lost.push(task);
        if (--left === 0) end();
      });
    }
  }

  #fetch(task: number, holdersOf: (task: number) => Iterable<number>, done: (ok: boolean) => void): void {
    const waiting = this.#arriving.get(task);
    if (waiting !== undefined) {
      waiting.push(done);
      return;
    }
    this.#arriving.set(task, [done]);
    this.#transfer(task, holdersOf);
  }

  #transfer(task: number, holdersOf: (task: number) => Iterable<number>): void {
    const { clock, network, tasks } = this.#components;
    const from = this.#source(task, holdersOf);
    if (from === undefined) {
      this.#arrived(task, false);
      return;
    }
    const [sender, receiver] = [network.life(from), network.life(this.#machine)];
    clock.at(network.transfer(from, this.#machine, tasks[task]!.outputBytes), () => {
      if (network.life(this.#machine) !== receiver) return;
      if (network.life(from) !== sender) this.#transfer(task, holdersOf);
      else this.#arrived(task, true);
    });
  }

  /** Of those who have it, the one whose link is free first. */
  #source(task: number, holdersOf: (task: number) => Iterable<number>): number | undefined {
    const { network, stores } = this.#components;
    let best: number | undefined;
    for (const holder of holdersOf(task)) {
      if (holder === this.#machine || !network.alive(holder) || !stores[holder]!.has(task)) continue;
      if (best === undefined || network.upFreeAt(holder) < network.upFreeAt(best)) best = holder;
    }
    return best;
  }

  #arrived(task: number, ok: boolean): void {
    const waiting = this.#arriving.get(task) ?? [];
    this.#arriving.delete(task);
    if (ok) this.#has.add(task);
    for (const done of waiting) done(ok);
  }
}
