import type { Clock, Timer } from './clock.ts';
import { WATCH_INTERVAL_MS, WOKE_AFTER_MS } from './constants.ts';
import { type AddressChange, addressChange, type InterfaceAddress } from './interfaces.ts';

/** What happened to this machine between two looks. */
export interface SurroundingsChange {
  /** Milliseconds for which this process did not run, if notable. */
  stoodStillMs?: number;
  /** Milliseconds for which the machine slept, if notable. */
  sleptMs?: number;
  addresses?: AddressChange;
}

/** What watching needs. */
export interface SurroundingsInit {
  clock: Clock;
  /** The machine's usable addresses, now. */
  look: () => InterfaceAddress[];
  onChange: (change: SurroundingsChange) => void;
}

/**
 * Watches what no event tells: networks that come and go, and time that passed without this process. A machine that sleeps stops the
 * monotonic clock and not the wall clock; a process that is stopped finds its timers late.
 */
export class Surroundings {
  readonly #init: SurroundingsInit;
  #addresses: InterfaceAddress[];
  #wall = 0;
  #due = 0;
  #timer: Timer | undefined;

  constructor(init: SurroundingsInit) {
    this.#init = init;
    this.#addresses = init.look();
  }

  /** Usable addresses as last seen, a second old at most. */
  get addresses(): readonly InterfaceAddress[] {
    return this.#addresses;
  }

  start(): void {
    this.#look();
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #schedule(): void {
    const { clock } = this.#init;
    this.#wall = clock.now();
    this.#due = clock.monotonic() + WATCH_INTERVAL_MS;
    this.#timer = clock.after(WATCH_INTERVAL_MS, () => {
      const lateMs = clock.monotonic() - this.#due;
      const sleptMs = clock.now() - this.#wall - (WATCH_INTERVAL_MS + lateMs);
      this.#schedule();
      this.#look({
        ...(lateMs >= WOKE_AFTER_MS ? { stoodStillMs: lateMs } : {}),
        ...(sleptMs >= WOKE_AFTER_MS ? { sleptMs } : {}),
      });
    });
  }

  #look(time: SurroundingsChange = {}): void {
    const now = this.#init.look();
    const addresses = addressChange(this.#addresses, now);
    this.#addresses = now;
    const change = { ...time, ...(addresses === undefined ? {} : { addresses }) };
    if (Object.keys(change).length > 0) this.#init.onChange(change);
  }
}
