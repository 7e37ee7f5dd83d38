import type { Clock, Logger } from '@mesh/net';
import {
  admission,
  DEFAULT_MAX_CPU_PRESSURE,
  DEFAULT_MAX_MEMORY_PRESSURE,
  initialAdmission,
  type LoadAdmission,
} from './load-admission.ts';
import { type Offer, type OfferConfig, offerOf } from './offer.ts';
import { minuteOfDay } from './offer-hours.ts';
import { type Pause, readPause, writePause } from './pause-file.ts';

/** Load, hours, mains and pauses are looked at this often: a user who comes back waits seconds, and looking costs some 0.1 ms. */
const LOOK_INTERVAL_MS = 2_000;

/** What a look at the machine tells. */
export interface OfferLoad {
  cpuPressure?: number;
  memoryPressure?: number;
  memoryAvailableBytes: number;
  diskAvailableBytes: number;
}

export interface OfferKeeperInit {
  readonly stateDir: string;
  readonly config: OfferConfig;
  /** Detected, or as the configuration has it. */
  readonly slots: number;
  readonly cores: number;
  readonly memoryBytes: number;
}

export interface OfferKeeperComponents {
  clock: Clock;
  logger: Logger;
  load(): Promise<OfferLoad>;
  onMains(): Promise<boolean>;
  /** Whether nix-daemon takes a connection. */
  daemonAnswers(): Promise<boolean>;
  /** Builds that run here. */
  running(): number;
  peerIdsOf(submitter: string): readonly string[];
}

/** Keeps in mind what this machine gives to builds: looks at it every few seconds, and at once when its owner pauses or resumes it. */
export class OfferKeeper {
  readonly #init: OfferKeeperInit;
  readonly #components: OfferKeeperComponents;
  #pause: Pause | undefined;
  #admission: LoadAdmission = initialAdmission();
  #load: OfferLoad;
  #onMains: boolean;
  #daemonIsDown = false;
  #offer: Offer;
  #changed: (offer: Offer) => void = () => undefined;
  #timer: { cancel(): void } | undefined;
  #stopped = false;

  private constructor(
    init: OfferKeeperInit,
    components: OfferKeeperComponents,
    seen: { pause: Pause | undefined; load: OfferLoad; onMains: boolean },
  ) {
    this.#init = init;
    this.#components = components;
    this.#pause = seen.pause;
    this.#load = seen.load;
    this.#onMains = seen.onMains;
    this.#offer = this.#evaluate();
  }

  /** Looks for the first time. @throws AgentError AGENT_BAD_STATE for a pause file that cannot be read */
  static async create(init: OfferKeeperInit, components: OfferKeeperComponents): Promise<OfferKeeper> {
    const [pause, load, onMains] = await Promise.all([
      readPause(init.stateDir),
      components.load(),
      components.onMains(),
    ]);
    return new OfferKeeper(init, components, { pause, load, onMains });
  }

  get offer(): Offer {
    return this.#offer;
  }

  /** Free on the disk of the store when last looked. */
  get freeDiskBytes(): number {
    return this.#load.diskAvailableBytes;
  }

  get memoryIsShort(): boolean {
    return this.#admission.memory.on;
  }

  /** @param changed called with every new look, and at once after `pause` and `resume` */
  start(changed: (offer: Offer) => void): void {
    this.#changed = changed;
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** nix-daemon takes no connection: nothing is built here until it does, which is tried every few seconds. */
  daemonIsDown(): void {
    if (this.#daemonIsDown || this.#stopped) return;
    this.#daemonIsDown = true;
    this.#tell();
  }

  /** Takes no work of others until it is resumed, or for so long. Lasts over restarts. */
  async pause(pause: Pause): Promise<void> {
    await writePause(this.#init.stateDir, pause);
    this.#pause = pause;
    this.#tell();
  }

  /** @returns whether it was paused */
  async resume(): Promise<boolean> {
    await writePause(this.#init.stateDir, undefined);
    const was = this.#paused() !== undefined;
    this.#pause = undefined;
    this.#tell();
    return was;
  }

  async #look(): Promise<void> {
    const { clock, load, onMains, running, daemonAnswers } = this.#components;
    [this.#load, this.#onMains] = await Promise.all([load(), onMains()]);
    if (this.#daemonIsDown) this.#daemonIsDown = !(await daemonAnswers());
    const { config, cores, memoryBytes } = this.#init;
    this.#admission = admission(
      this.#admission,
      {
        nowMs: clock.monotonic(),
        cores,
        running: running(),
        cpuPressure: this.#load.cpuPressure,
        memoryPressure: this.#load.memoryPressure,
        memoryAvailableBytes: this.#load.memoryAvailableBytes,
        memoryBytes,
      },
      {
        cpuPressure: config.maxCpuPressureOfOthers ?? DEFAULT_MAX_CPU_PRESSURE,
        memoryPressure: config.maxMemoryPressure ?? DEFAULT_MAX_MEMORY_PRESSURE,
      },
    );
  }

  #schedule(): void {
    this.#timer = this.#components.clock.after(LOOK_INTERVAL_MS, () => {
      this.#look()
        .then(
          () => this.#stopped || this.#tell(),
          (error: unknown) =>
            this.#components.logger.warn({ err: error }, 'the load of this machine could not be seen'),
        )
        .finally(() => this.#stopped || this.#schedule());
    });
  }

  #tell(): void {
    const before = this.#offer.closed;
    this.#offer = this.#evaluate();
    if (this.#offer.closed !== before) {
      this.#components.logger.info(
        { closed: this.#offer.closed },
        this.#offer.closed === undefined ? 'takes builds of others again' : 'takes no builds of others now',
      );
    }
    this.#changed(this.#offer);
  }

  #evaluate(): Offer {
    const { config, slots, cores } = this.#init;
    return offerOf(config, {
      slots,
      cores,
      minuteOfDay: minuteOfDay(new Date(this.#components.clock.now())),
      onMains: this.#onMains,
      pause: this.#paused(),
      userIsBusy: this.#admission.user.on,
      memoryIsShort: this.#admission.memory.on,
      daemonIsDown: this.#daemonIsDown,
      freeMemoryBytes: this.#load.memoryAvailableBytes,
      peerIdsOf: (submitter) => this.#components.peerIdsOf(submitter),
    });
  }

  /** The pause, unless its time is up. */
  #paused(): Pause | undefined {
    const until = this.#pause?.untilMs;
    return until !== undefined && until <= this.#components.clock.now() ? undefined : this.#pause;
  }
}
