import type { Clock, Timer } from '@mesh/net';
import type { WorkerMessage } from '@mesh/wire';

export type Introduction = Extract<WorkerMessage, { type: 'worker' }>;

/** Homes hear of changes this often at most. */
const MIN_INTERVAL_MS = 2_000;
/** Free memory and disk always change a little; homes hear of more than this share. */
const WORTH_TELLING = 0.05;

interface Told {
  message: Introduction;
  atMs: number;
  timer?: Timer;
}

export interface IntroductionsComponents {
  clock: Clock;
  /** What to tell this home at the moment. */
  describe(home: string): Introduction;
  send(home: string, message: Introduction): void;
}

/** What each home was told of this worker, told again when it has changed enough. */
export class Introductions {
  readonly #components: IntroductionsComponents;
  readonly #told = new Map<string, Told>();

  constructor(components: IntroductionsComponents) {
    this.#components = components;
  }

  /** A home is connected: it hears everything at once. */
  greet(home: string): void {
    this.#tell(home);
  }

  leave(home: string): void {
    this.#told.get(home)?.timer?.cancel();
    this.#told.delete(home);
  }

  /** Something may have changed: homes hear of it, soon if they have heard something just now. */
  refresh(): void {
    for (const home of this.#told.keys()) this.#refresh(home);
  }

  /** A home has to know now, before what is said to it next. */
  urgent(home: string): void {
    const told = this.#told.get(home);
    if (told !== undefined && differs(told.message, this.#components.describe(home))) this.#tell(home);
  }

  #refresh(home: string): void {
    const told = this.#told.get(home);
    if (told === undefined || told.timer !== undefined) return;
    const message = this.#components.describe(home);
    if (!differs(told.message, message)) return;
    const dueMs = told.atMs + MIN_INTERVAL_MS - this.#components.clock.monotonic();
    // Whether there is anything to get here must not wait.
    if (dueMs <= 0 || told.message.slots !== message.slots || told.message.closed !== message.closed) {
      this.#tell(home);
      return;
    }
    told.timer = this.#components.clock.after(dueMs, () => {
      delete told.timer;
      this.#refresh(home);
    });
  }

  #tell(home: string): void {
    this.leave(home);
    const message = this.#components.describe(home);
    this.#told.set(home, { message, atMs: this.#components.clock.monotonic() });
    this.#components.send(home, message);
  }
}

function differs(told: Introduction, now: Introduction): boolean {
  const { freeMemoryBytes: toldMemory, freeDiskBytes: toldDisk, ...toldRest } = told;
  const { freeMemoryBytes, freeDiskBytes, ...rest } = now;
  return (
    JSON.stringify(toldRest) !== JSON.stringify(rest) ||
    isOtherAmount(toldMemory, freeMemoryBytes) ||
    isOtherAmount(toldDisk, freeDiskBytes)
  );
}

function isOtherAmount(told: number | undefined, now: number | undefined): boolean {
  if (told === undefined || now === undefined) return told !== now;
  return Math.abs(now - told) > WORTH_TELLING * told;
}
