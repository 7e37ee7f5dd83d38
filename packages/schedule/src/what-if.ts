import { DEFAULT_LINK_BYTES_PER_MS } from './constants.ts';
import { couldBuild, type FinishedDerivation, speedFor, workOf } from './finished-run.ts';
import { Heap } from './heap.ts';
import type { DrvPath, PeerId, WorkerInfo } from './types.ts';

/** What one more machine like another would have saved a job. */
export interface Gain {
  readonly like: PeerId;
  readonly savedMs: number;
}

/**
 * Derivations times machines times kinds of machines beyond which nothing is played through: the answer is made in the agent's own thread,
 * and so much takes about half a second.
 */
export const MAX_WHAT_IF = 200_000;

/** Ready derivations looked at for free slots at a time: those before it would end sooner by waiting for another. */
const MAX_PASSED_OVER = 8;

/**
 * Plays the job through with the machines it had and with one more like each, by list scheduling (the longest remaining chain first, where
 * it ends soonest) with what the builds were measured to take, and scales the difference to the time the job really took. List scheduling
 * may get slower with a machine more (Graham 1969); nobody would use it so, and the gain is 0 then. Undefined for what is too large.
 */
export function whatIf(job: {
  readonly wallMs: number;
  readonly derivations: readonly FinishedDerivation[];
  readonly machines: ReadonlyMap<PeerId, WorkerInfo>;
}): Gain[] | undefined {
  const machines = [...job.machines.values()].filter(({ slots }) => slots > 0);
  const kinds = new Set(machines.map(kindOf)).size;
  if (job.derivations.length * (machines.length + 1) * (kinds + 1) > MAX_WHAT_IF) return undefined;
  const works = job.derivations.map((derivation) => ({
    derivation,
    workMs: workOf(derivation, job.machines),
  }));
  const without = playThrough(works, machines);
  const byKind = new Map<string, number>();
  return machines.map((machine) => {
    const kind = kindOf(machine);
    let savedMs = byKind.get(kind);
    if (savedMs === undefined) {
      const more: WorkerInfo = { ...machine, peerId: `another ${machine.peerId}`, isHome: false };
      const gain = without - playThrough(works, [...machines, more]);
      savedMs = without > 0 ? Math.max(0, (gain / without) * job.wallMs) : 0;
      byKind.set(kind, savedMs);
    }
    return { like: machine.peerId, savedMs };
  });
}

function kindOf({ slots, speed, systems, features, emulated }: WorkerInfo): string {
  return JSON.stringify([slots, speed ?? 1, systems, features, emulated ?? {}]);
}

interface Work {
  readonly derivation: FinishedDerivation;
  readonly workMs: number;
}

interface Task extends Work {
  levelMs: number;
  waits: number;
  readonly dependencies: Task[];
  readonly dependants: Task[];
  /** Where its outputs are, once they exist. */
  at: WorkerInfo | undefined;
  /** Machines of the kind it needs. */
  readonly able: readonly BusyMachine[];
  /** Bytes of its inputs, all together and by the machine that has them; known when it is ready. */
  inputs: { readonly bytes: number; readonly by: ReadonlyMap<WorkerInfo, number> } | undefined;
}

/** A machine with its slots, each free from some time on. */
class BusyMachine {
  readonly machine: WorkerInfo;
  readonly #freeAt: number[];
  #soonest = 0;

  constructor(machine: WorkerInfo) {
    this.machine = machine;
    this.#freeAt = new Array<number>(machine.slots).fill(0);
  }

  /** When a slot is free. */
  get freeAtMs(): number {
    return this.#freeAt[this.#soonest]!;
  }

  /** Takes the slot that is free first until then. */
  take(untilMs: number): void {
    this.#freeAt[this.#soonest] = untilMs;
    for (let i = 0; i < this.#freeAt.length; i++)
      if (this.#freeAt[i]! < this.#freeAt[this.#soonest]!) this.#soonest = i;
  }
}

/** How long the job takes on these machines, milliseconds. What no machine could build takes no time. */
function playThrough(works: readonly Work[], machines: readonly WorkerInfo[]): number {
  const tasks = graphOf(
    works,
    machines.map((machine) => new BusyMachine(machine)),
  );
  const ready = new Heap<Task>((a, b) => a.levelMs > b.levelMs);
  const ends = new Heap<{ atMs: number; task: Task }>((a, b) => a.atMs < b.atMs);
  let now = 0;
  let free = machines.reduce((sum, { slots }) => sum + slots, 0);
  const done = (task: Task): void => {
    for (const dependant of task.dependants) if (--dependant.waits === 0) ready.push(dependant);
  };
  for (const task of tasks) if (task.waits === 0) ready.push(task);
  for (;;) {
    const passed: Task[] = [];
    while (ready.size > 0 && passed.length < MAX_PASSED_OVER) {
      const task = ready.peek()!;
      const isNothing = task.able.length === 0 || task.workMs === 0;
      if (!isNothing && free === 0) break;
      ready.pop();
      if (isNothing) {
        done(task);
        continue;
      }
      const { place, startMs, endMs } = soonest(task, now);
      if (startMs > now) {
        passed.push(task);
        continue;
      }
      place.take(endMs);
      task.at = place.machine;
      free--;
      ends.push({ atMs: endMs, task });
    }
    for (const task of passed) ready.push(task);
    for (let first = true; first || (ends.size > 0 && ends.peek()!.atMs <= now); first = false) {
      const next = ends.pop();
      if (next === undefined) return now;
      now = next.atMs;
      free++;
      done(next.task);
    }
  }
}

/** The machine where it ends first, be it later that it starts there. */
function soonest(task: Task, now: number): { place: BusyMachine; startMs: number; endMs: number } {
  task.inputs ??= inputsOf(task);
  const { bytes, by } = task.inputs;
  let best: { place: BusyMachine; startMs: number; endMs: number } | undefined;
  for (const place of task.able) {
    const { machine } = place;
    const startMs = Math.max(now, place.freeAtMs);
    const missing = bytes - (by.get(machine) ?? 0);
    const takesMs =
      missing / (machine.linkBytesPerMs ?? DEFAULT_LINK_BYTES_PER_MS) +
      task.workMs / speedFor(machine, task.derivation.system);
    if (best === undefined || startMs + takesMs < best.endMs)
      best = { place, startMs, endMs: startMs + takesMs };
  }
  return best!;
}

function inputsOf({ dependencies }: Task): NonNullable<Task['inputs']> {
  let bytes = 0;
  const by = new Map<WorkerInfo, number>();
  for (const { at, derivation } of dependencies) {
    if (at === undefined || derivation.outputBytes === 0) continue;
    bytes += derivation.outputBytes;
    by.set(at, (by.get(at) ?? 0) + derivation.outputBytes);
  }
  return { bytes, by };
}

/** Tasks with their levels: the work of the longest chain that begins with each. Those of a cycle are left out. */
function graphOf(works: readonly Work[], fleet: readonly BusyMachine[]): Task[] {
  const able = new Map<string, readonly BusyMachine[]>();
  const ableTo = (derivation: FinishedDerivation): readonly BusyMachine[] => {
    const { system, requiredFeatures, place } = derivation;
    const key = JSON.stringify([system, requiredFeatures, place]);
    const known = able.get(key) ?? fleet.filter(({ machine }) => couldBuild(machine, derivation));
    able.set(key, known);
    return known;
  };
  const tasks = new Map<DrvPath, Task>();
  for (const work of works) {
    const base = { ...work, levelMs: work.workMs, waits: 0, at: undefined, inputs: undefined };
    tasks.set(work.derivation.drvPath, {
      ...base,
      dependencies: [],
      dependants: [],
      able: ableTo(work.derivation),
    });
  }
  for (const task of tasks.values()) {
    for (const path of new Set(task.derivation.dependencies)) {
      const dependency = tasks.get(path);
      if (dependency === undefined || dependency === task) continue;
      task.dependencies.push(dependency);
      dependency.dependants.push(task);
      task.waits++;
    }
  }
  const waits = new Map([...tasks.values()].map((task) => [task, task.waits]));
  const order = [...tasks.values()].filter((task) => task.waits === 0);
  for (const task of order) {
    for (const dependant of task.dependants) {
      const left = waits.get(dependant)! - 1;
      waits.set(dependant, left);
      if (left === 0) order.push(dependant);
    }
  }
  for (const task of order.toReversed())
    for (const dependency of task.dependencies)
      dependency.levelMs = Math.max(dependency.levelMs, dependency.workMs + task.levelMs);
  return order;
}
