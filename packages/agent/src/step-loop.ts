import type { Clock, Timer } from '@mesh/net';

/** An event before the loop says when it happened. */
export type WithoutNow<Event> = Event extends unknown ? Omit<Event, 'now'> : never;

export interface StepLoopInit<Event, Effect> {
  clock: Clock;
  /** One decision: pure but for its own state. */
  step(event: Event): readonly Effect[];
  /** Carries one effect out; must not wait. */
  perform(effect: Exclude<Effect, { type: 'wake-at' }>): void;
  /** The event that a `wake-at` asks for. */
  tick: WithoutNow<Event>;
}

/**
 * Drives a state machine of `@mesh/schedule`: events in, effects out, in order, one at a time. An event that comes up while effects
 * are being carried out waits for its turn, so that the machine never sees itself half done.
 */
export class StepLoop<Event extends { type: string; now: number }, Effect extends { type: string }> {
  readonly #init: StepLoopInit<Event, Effect>;
  readonly #queue: WithoutNow<Event>[] = [];
  #running = false;
  #wake: Timer | undefined;
  #stopped = false;

  constructor(init: StepLoopInit<Event, Effect>) {
    this.#init = init;
  }

  dispatch(event: WithoutNow<Event>): void {
    if (this.#stopped) return;
    this.#queue.push(event);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const now = this.#init.clock.monotonic();
        for (const effect of this.#init.step({ ...next, now } as Event)) this.#perform(effect, now);
      }
    } finally {
      this.#running = false;
    }
  }

  /** No event is taken any more. */
  stop(): void {
    this.#stopped = true;
    this.#wake?.cancel();
  }

  #perform(effect: Effect, now: number): void {
    if (!isWakeAt(effect)) {
      this.#init.perform(effect as Exclude<Effect, { type: 'wake-at' }>);
      return;
    }
    this.#wakeAt(effect.at, now);
  }

  #wakeAt(at: number, now: number): void {
    this.#wake?.cancel();
    this.#wake = this.#init.clock.after(Math.max(0, at - now), () => {
      // Timers may go off a little early, but a machine that is woken before its time asks for no other wake-up.
      const later = this.#init.clock.monotonic();
      if (later < at) this.#wakeAt(at, later);
      else this.dispatch(this.#init.tick);
    });
  }
}

function isWakeAt(effect: { type: string }): effect is { type: 'wake-at'; at: number } {
  return effect.type === 'wake-at';
}
