import { fork } from 'node:child_process';
import type { Clock, Logger, Timer } from '@mesh/net';
import { MAX_SPEED, MIN_SPEED, SPEED_DELAY_MS, SPEED_LIFETIME_MS, SPEED_RETRY_MS } from './constants.ts';
import { readSpeedFile, type StoredSpeed, writeSpeedFile } from './speed-file.ts';
import type { SpeedSample } from './speed-sample.ts';

/** An undisturbed round on the machine that has speed 1 by definition: one of two threads of an AMD EPYC (Zen 4) core at 2.6 GHz. */
const REFERENCE_ROUND_MS = 4;
/** With less of a processor than this, somebody else was at work or a quota holds: measured again, to tell the two apart. */
const WHOLE_SHARE = 0.8;
/** Windows in which a machine may show that it has a whole processor to give. */
const MAX_WINDOWS = 4;
/** Pause between them, at least and in the mean a half more: agents that started together do not meet again. */
const WINDOW_PAUSE_MS = 1_000;

export interface SpeedInit {
  stateDir: string;
  cpuModel: string;
  nodeVersion: string;
}

export interface SpeedComponents {
  clock: Clock;
  logger: Logger;
  /** 0 ≤ x < 1. */
  random: () => number;
  /** One window of measuring. */
  sample: () => Promise<SpeedSample>;
}

/** Who wants to know, and when measuring disturbs nobody. */
export interface SpeedWatcher {
  /** Nothing is built here and nobody waits for a processor. */
  isIdle: () => Promise<boolean>;
  changed: () => void;
}

/**
 * How fast this machine builds, relative to an ordinary one. What builds teach (history) soon knows better; this is for the first
 * day. Measured once, when the machine is idle, and again for another processor, another Node or after a month.
 */
export class MachineSpeed {
  readonly #init: SpeedInit;
  readonly #components: SpeedComponents;
  #stored: StoredSpeed | undefined;
  #timer: Timer | undefined;
  #stopped = false;

  private constructor(init: SpeedInit, components: SpeedComponents, stored: StoredSpeed | undefined) {
    this.#init = init;
    this.#components = components;
    this.#stored = stored;
  }

  /** Reads what was measured before. */
  static async load(init: SpeedInit, components: SpeedComponents): Promise<MachineSpeed> {
    return new MachineSpeed(init, components, await readSpeedFile(init.stateDir));
  }

  /** 1 until it was measured. */
  get current(): number {
    return this.#stored?.speed ?? 1;
  }

  /** Measures when the machine is idle, if that is due. */
  start(watcher: SpeedWatcher): void {
    if (!this.#isDue()) return;
    this.#after(SPEED_DELAY_MS, () => this.#tryMeasuring(watcher));
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #isDue(): boolean {
    const stored = this.#stored;
    if (stored?.cpuModel !== this.#init.cpuModel || stored.nodeVersion !== this.#init.nodeVersion)
      return true;
    const age = this.#components.clock.now() - stored.measuredMs;
    return age < 0 || age > SPEED_LIFETIME_MS;
  }

  async #tryMeasuring(watcher: SpeedWatcher): Promise<void> {
    const { logger, clock } = this.#components;
    try {
      const speed = await this.#measure(watcher.isIdle);
      if (speed === undefined) {
        this.#after(SPEED_RETRY_MS, () => this.#tryMeasuring(watcher));
        return;
      }
      const { stateDir, cpuModel, nodeVersion } = this.#init;
      this.#stored = { speed, measuredMs: clock.now(), cpuModel, nodeVersion };
      watcher.changed();
      logger.debug({ speed }, 'the speed of this machine was measured');
      await writeSpeedFile(stateDir, this.#stored);
    } catch (error) {
      // It counts as ordinary until builds have shown how fast it is; the next start tries again.
      logger.warn({ err: error }, 'The speed of this machine could not be measured.');
    }
  }

  /** Undefined where the machine did not stay idle. */
  async #measure(isIdle: () => Promise<boolean>): Promise<number | undefined> {
    const { sample, random } = this.#components;
    let roundMs = Number.POSITIVE_INFINITY;
    let share = 0;
    for (let window = 0; window < MAX_WINDOWS && share < WHOLE_SHARE; window += 1) {
      if (window > 0) await this.#pause(WINDOW_PAUSE_MS * (1 + random()));
      if (this.#stopped || !(await isIdle())) return undefined;
      const seen = await sample();
      roundMs = Math.min(roundMs, seen.roundMs);
      share = Math.max(share, seen.share);
    }
    return speedOf({ roundMs, share });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#components.clock.after(ms, resolve));
  }

  #after(ms: number, run: () => Promise<void>): void {
    if (this.#stopped) return;
    this.#timer = this.#components.clock.after(ms, () => void run());
  }
}

/** Two digits: more would be noise, and every change is told to all. */
export function speedOf({ roundMs, share }: SpeedSample): number {
  const speed = (REFERENCE_ROUND_MS / roundMs) * (share < WHOLE_SHARE ? share : 1);
  const clamped = Math.min(MAX_SPEED, Math.max(MIN_SPEED, Number.isFinite(speed) ? speed : 1));
  return Number(clamped.toPrecision(2));
}

/** Sources run as they are, built files as they are: the process's file is the neighbour of this one. */
const FROM_SOURCE = import.meta.url.endsWith('.ts');

/** Measures in a process: heartbeats stay prompt meanwhile, and the memory it takes is gone with it. */
export function sampleInProcess(): Promise<SpeedSample> {
  return new Promise((resolve, reject) => {
    const file = new URL(FROM_SOURCE ? './speed-process.ts' : './speed-process.js', import.meta.url);
    const child = fork(file, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    child.unref();
    child.channel?.unref();
    child.once('message', (sample) => resolve(sample as unknown as SpeedSample));
    child.once('error', reject);
    child.once('exit', () => reject(new Error('the measuring process ended without an answer')));
  });
}
