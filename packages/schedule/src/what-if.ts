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
 * Derivations times machines beyond which nothing is played through: the answer is made in the agent's own thread, and a million takes
 * about a second.
 */
export const MAX_WHAT_IF = 300_000;

/** Ready derivations looked at for one free slot: those before it would end sooner by waiting. */
const MAX_PASSED_OVER = 64;

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
  if (job.derivations.length * (machines.length + 1) > MAX_WHAT_IF) return undefined;
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
  readonly able: readonly WorkerInfo[];
}

/** How long the job takes on these machines, milliseconds. What no machine could build takes no time. */
function playThrough(works: readonly Work[], machines: readonly WorkerInfo[]): number {
  const tasks = graphOf(works, machines);
  const slots = new Map(
    machines.map((machine) => [machine.peerId, new Array<number>(machine.slots).fill(0)]),
  );
  const ready = new Heap<Task>((a, b) => a.levelMs > b.levelMs);
  const ends = new Heap<{ atMs: number; task: Task }>((a, b) => a.atMs < b.atMs);
  let now = 0;
  const done = (task: Task): void => {
    for (const dependant of task.dependants) if (--dependant.waits === 0) ready.push(dependant);
  };
  for (const task of tasks) if (task.waits === 0) ready.push(task);
  for (;;) {
    const passed: Task[] = [];
    let free = machines.reduce((sum, { peerId }) => sum + freeSlots(slots.get(peerId)!, now), 0);
    while (ready.size > 0 && (free > 0 || ready.peek()!.able.length === 0)) {
      const task = ready.pop()!;
      if (task.able.length === 0 || task.workMs === 0) {
        done(task);
        continue;
      }
      const best = soonest(task, slots, now);
      if (best.startMs > now) {
        passed.push(task);
        if (passed.length >= MAX_PASSED_OVER) break;
        continue;
      }
      best.slots[best.slot] = best.endMs;
      task.at = best.machine;
      free--;
      ends.push({ atMs: best.endMs, task });
    }
    for (const task of passed) ready.push(task);
    const next = ends.pop();
    if (next === undefined) return now;
    now = next.atMs;
    done(next.task);
    while (ends.size > 0 && ends.peek()!.atMs <= now) done(ends.pop()!.task);
  }
}

/** The machine and slot where it ends first, be it later that it starts there. */
function soonest(task: Task, slots: ReadonlyMap<PeerId, number[]>, now: number) {
  let best:
    | { machine: WorkerInfo; slots: number[]; slot: number; startMs: number; endMs: number }
    | undefined;
  for (const machine of task.able) {
    const own = slots.get(machine.peerId)!;
    let slot = 0;
    for (let i = 1; i < own.length; i++) if (own[i]! < own[slot]!) slot = i;
    const startMs = Math.max(now, own[slot]!);
    const takesMs =
      missingBytes(task, machine) / (machine.linkBytesPerMs ?? DEFAULT_LINK_BYTES_PER_MS) +
      task.workMs / speedFor(machine, task.derivation.system);
    if (best === undefined || startMs + takesMs < best.endMs)
      best = { machine, slots: own, slot, startMs, endMs: startMs + takesMs };
  }
  return best!;
}

function missingBytes({ dependencies }: Task, machine: WorkerInfo): number {
  let bytes = 0;
  for (const { at, derivation } of dependencies)
    if (at !== undefined && at !== machine) bytes += derivation.outputBytes;
  return bytes;
}

function freeSlots(ends: readonly number[], now: number): number {
  return ends.reduce((count, end) => count + (end <= now ? 1 : 0), 0);
}

/** Tasks with their levels: the work of the longest chain that begins with each. Those of a cycle are left out. */
function graphOf(works: readonly Work[], machines: readonly WorkerInfo[]): Task[] {
  const able = new Map<string, readonly WorkerInfo[]>();
  const ableTo = (derivation: FinishedDerivation): readonly WorkerInfo[] => {
    const { system, requiredFeatures, place } = derivation;
    const key = JSON.stringify([system, requiredFeatures, place]);
    const known = able.get(key) ?? machines.filter((machine) => couldBuild(machine, derivation));
    able.set(key, known);
    return known;
  };
  const tasks = new Map<DrvPath, Task>();
  for (const work of works) {
    const base = { ...work, levelMs: work.workMs, waits: 0, at: undefined };
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
