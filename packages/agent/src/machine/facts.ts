import { availableParallelism, cpus, totalmem } from 'node:os';
import type { Clock, Logger } from '@mesh/net';
import type { NixSystemInfo } from '@mesh/nix';
import { type BuildUsage, SampledBuildUsage } from './build-usage.ts';
import { capabilityOf, type MachineCapability } from './capability.ts';
import { IDLE_CPU_PRESSURE, POWER_INTERVAL_MS } from './constants.ts';
import { emulatedSystems, type ForeignFormat, foreignFormats } from './emulation.ts';
import { BuildMemoryLimit } from './memory-limit.ts';
import { onMains } from './power.ts';
import { type MachineLoad, measureLoad, oomKills } from './pressure.ts';
import { MachineSpeed, sampleInProcess } from './speed.ts';

export interface MachineFactsInit {
  stateDir: string;
  /** Asked already: what does not depend on it is looked up meanwhile. */
  nix: Promise<NixSystemInfo>;
  /** Builds at once, if the configuration says. */
  slots: number | undefined;
}

export interface MachineFactsComponents {
  clock: Clock;
  logger: Logger;
}

interface Found {
  nix: NixSystemInfo;
  slots: number | undefined;
  memoryBytes: number;
  memoryLimit: BuildMemoryLimit;
  formats: readonly ForeignFormat[];
  speed: MachineSpeed;
  clock: Clock;
}

/** Everything that is detected about this machine rather than configured. */
export class MachineFacts {
  readonly capability: MachineCapability;
  readonly usage: BuildUsage;
  readonly #formats: readonly ForeignFormat[];
  readonly #memoryLimit: BuildMemoryLimit;
  readonly #speed: MachineSpeed;
  readonly #clock: Clock;
  #power: { answer: Promise<boolean>; askedMs: number } | undefined;

  private constructor({ nix, slots, memoryBytes, memoryLimit, formats, speed, clock }: Found) {
    this.capability = capabilityOf(nix, slots, memoryBytes);
    this.usage = new SampledBuildUsage({ clock, ownUser: process.getuid?.() ?? 0 });
    this.#memoryLimit = memoryLimit;
    this.#formats = formats;
    this.#speed = speed;
    this.#clock = clock;
  }

  /** Looks at everything once; measures nothing that takes time. @throws NixError where Nix is missing or too old */
  static async gather(init: MachineFactsInit, components: MachineFactsComponents): Promise<MachineFacts> {
    const { clock, logger } = components;
    const { stateDir, slots } = init;
    const memoryLimit = new BuildMemoryLimit({ clock });
    const speedInit = { stateDir, cpuModel: cpus()[0]?.model ?? process.arch, nodeVersion: process.version };
    const [nix, formats, limit, speed] = await Promise.all([
      init.nix,
      foreignFormats(),
      memoryLimit.read(),
      MachineSpeed.load(speedInit, { clock, logger, random: Math.random, sample: sampleInProcess }),
    ]);
    const memoryBytes = Math.min(totalmem(), limit?.limitBytes ?? totalmem());
    return new MachineFacts({ nix, slots, memoryBytes, memoryLimit, formats, speed, clock });
  }

  /**
   * Measures the speed where that is due, as soon as the machine is idle.
   * @param isBusy whether anything is built here
   * @param changed called after `speed` has changed
   */
  start(isBusy: () => boolean, changed: () => void): void {
    const isIdle = async (): Promise<boolean> => !isBusy() && isCalm(await this.load(0));
    this.#speed.start({ isIdle, changed });
  }

  stop(): void {
    this.#speed.stop();
  }

  /** @param running builds running, which the kernel does not know of */
  async load(running: number): Promise<MachineLoad> {
    return measureLoad(running, await this.#memoryLimit.read());
  }

  /** Processes killed for want of memory since the machine started; undefined where the kernel does not count them. */
  oomKills(): Promise<number | undefined> {
    return oomKills();
  }

  /** Whether it runs on mains power; it does unless it says otherwise. */
  onMains(): Promise<boolean> {
    const nowMs = this.#clock.monotonic();
    if (this.#power === undefined || nowMs - this.#power.askedMs >= POWER_INTERVAL_MS) {
      this.#power = { answer: onMains(), askedMs: nowMs };
    }
    return this.#power.answer;
  }

  /** Of the capability's systems those that are only emulated, each with a guess at how fast a build is compared to a native one. */
  emulated(): Record<string, number> {
    return emulatedSystems(this.capability.systems, this.#formats);
  }

  /** Relative to an ordinary machine; 1 until it was measured. */
  speed(): number {
    return this.#speed.current;
  }
}

/** Measuring now would neither disturb anybody nor be disturbed. */
function isCalm({ cpuPressure, loadAverage }: MachineLoad): boolean {
  if (cpuPressure !== undefined) return cpuPressure < IDLE_CPU_PRESSURE;
  return loadAverage < availableParallelism() / 2;
}
