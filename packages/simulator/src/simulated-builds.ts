import { BUILD_OVERHEAD_MS, USER_PRESENT_SPEED } from './constants.ts';
import { type Machine, speedFor } from './machine.ts';
import type { Recorder, Span } from './recorder.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { Task } from './workload.ts';

export interface BuildRequest {
  readonly task: Task;
  readonly cores: number;
  readonly attempt: number;
  readonly race: boolean;
  readonly why: string;
  /** How many times slower this attempt runs than it should. */
  readonly straggle: number;
}

/** A build that ended by itself. */
export interface BuildEnd {
  readonly outcome: 'done' | 'out-of-memory';
  readonly startMs: number;
  readonly endMs: number;
}

interface Running extends BuildRequest {
  readonly startMs: number;
  readonly done: (end: BuildEnd) => void;
  readonly fits: boolean;
  leftMs: number;
  since: number;
  /** Alarms with another number are stale. */
  alarm: number;
}

/** Milliseconds a build takes on this machine with so many cores, nothing in its way. */
export function buildMs(task: Task, machine: Machine, cores: number): number {
  const serial = 1 - task.parallel + task.parallel / Math.max(1, cores);
  return BUILD_OVERHEAD_MS + (task.workMs * serial) / speedFor(machine, task.system);
}

/** The builds that run on one machine: how far they are, and when they end. */
export class SimulatedBuilds {
  readonly #index: number;
  readonly #machine: Machine;
  readonly #clock: VirtualClock;
  readonly #recorder: Recorder;
  readonly #limitMemory: boolean;
  readonly #running = new Map<string, Running>();
  #userPresent = false;
  #rate = 1;
  #alarms = 0;

  constructor(
    index: number,
    machine: Machine,
    options: { readonly clock: VirtualClock; readonly recorder: Recorder; readonly limitMemory: boolean },
  ) {
    this.#index = index;
    this.#machine = machine;
    this.#clock = options.clock;
    this.#recorder = options.recorder;
    this.#limitMemory = options.limitMemory;
  }

  get freeMemoryBytes(): number {
    let free = this.#machine.memoryBytes;
    for (const build of this.#running.values()) free -= build.task.memoryBytes;
    return Math.max(0, free);
  }

  start(id: string, request: BuildRequest, done: (end: BuildEnd) => void): void {
    const { now } = this.#clock;
    const fits = !this.#limitMemory || request.task.memoryBytes <= this.freeMemoryBytes;
    const running: Running = {
      ...request,
      startMs: now,
      done,
      fits,
      leftMs: buildMs(request.task, this.#machine, request.cores) * request.straggle,
      since: now,
      alarm: 0,
    };
    // Memory runs out when the build is about half way.
    if (!fits) running.leftMs /= 2;
    this.#running.set(id, running);
    if (!this.#ratesChanged()) this.#schedule(id, running);
  }

  /** Kills a build; false when it is not running. */
  stop(id: string): boolean {
    const running = this.#running.get(id);
    if (running === undefined) return false;
    this.#end(id, running, 'cancelled');
    return true;
  }

  /** All are gone at once, with the machine. */
  die(): void {
    for (const [id, running] of [...this.#running]) this.#end(id, running, 'lost');
  }

  /** The user comes back to the keyboard, or leaves it. */
  userPresent(present: boolean): void {
    this.#userPresent = present;
    this.#ratesChanged();
  }

  /** Brings all builds up to date when they go on faster or slower; says whether they do. */
  #ratesChanged(): boolean {
    const { slots, cores } = this.#machine;
    const room = Math.max(slots, cores);
    const crowding = Math.min(1, room / Math.max(1, this.#running.size));
    const rate = crowding * (this.#userPresent ? USER_PRESENT_SPEED : 1);
    if (rate === this.#rate) return false;
    const { now } = this.#clock;
    for (const running of this.#running.values()) {
      running.leftMs -= (now - running.since) * this.#rate;
      running.since = now;
    }
    this.#rate = rate;
    for (const [id, running] of this.#running) this.#schedule(id, running);
    return true;
  }

  #schedule(id: string, running: Running): void {
    const alarm = ++this.#alarms;
    running.alarm = alarm;
    this.#clock.after(Math.max(0, running.leftMs) / this.#rate, () => {
      if (this.#running.get(id) !== running || running.alarm !== alarm) return;
      const outcome = running.fits ? 'done' : 'out-of-memory';
      this.#end(id, running, outcome);
      running.done({ outcome, startMs: running.startMs, endMs: this.#clock.now });
    });
  }

  #end(id: string, running: Running, outcome: Span['outcome']): void {
    this.#running.delete(id);
    this.#ratesChanged();
    const { task, cores, attempt, race, why, startMs } = running;
    this.#recorder.add({
      machine: this.#index,
      task: task.index,
      startMs,
      endMs: this.#clock.now,
      cores,
      attempt,
      race,
      outcome,
      why,
    });
  }
}
