import type { Clock, Timer } from '@mesh/net';
import { AgentError } from '../errors.ts';
import { bytesOf } from './kept-limits.ts';
import { isWithinHours, minuteOfDay } from './offer-hours.ts';

/** How much of the network serving members may take, as an owner writes it down (`upload` in `config.json`). */
export interface UploadConfig {
  /** Bytes a second for all together: a number, or one with K, M, G or T (of 1,024 each) behind it. */
  limitRate?: number | string;
  /** Hours of the day, local time, in which the limit holds: `08:00-18:00`. Always, where absent. */
  hours?: string[];
}

/** Below this a peer that shares it with others could not be told from one that stalls. */
export const MIN_UPLOAD_BYTES_PER_S = 32 * 1024;

/** Hours change on the minute; half a minute late is soon enough. */
const LOOK_INTERVAL_MS = 30_000;

/**
 * Bytes a second at a time of day; undefined for no limit.
 * @throws AgentError AGENT_BAD_CONFIG for a limit too small to move anything
 */
export function uploadLimitAt({ limitRate, hours }: UploadConfig, minute: number): number | undefined {
  if (limitRate === undefined) return undefined;
  const bytesPerS = bytesOf(limitRate);
  if (bytesPerS < MIN_UPLOAD_BYTES_PER_S) {
    throw new AgentError(
      'AGENT_BAD_CONFIG',
      `An upload limit of ${limitRate} bytes a second is too small to give others anything; set 32K or more.`,
      { exitCode: 2 },
    );
  }
  return hours === undefined || hours.some((span) => isWithinHours(span, minute)) ? bytesPerS : undefined;
}

/** Keeps the limit in force that the time of day asks for. */
export class UploadLimitKeeper {
  readonly #config: UploadConfig;
  readonly #clock: Clock;
  readonly #apply: (bytesPerS: number | undefined) => void;
  #timer: Timer | undefined;
  #inForce: number | undefined;

  /**
   * @param apply called where the limit changes; at first there is none
   * @throws AgentError as {@link uploadLimitAt}
   */
  constructor(config: UploadConfig, clock: Clock, apply: (bytesPerS: number | undefined) => void) {
    uploadLimitAt(config, 0);
    this.#config = config;
    this.#clock = clock;
    this.#apply = apply;
  }

  start(): void {
    const wanted = uploadLimitAt(this.#config, minuteOfDay(new Date(this.#clock.now())));
    if (wanted !== this.#inForce) {
      this.#inForce = wanted;
      this.#apply(wanted);
    }
    if (this.#config.hours !== undefined) {
      this.#timer = this.#clock.after(LOOK_INTERVAL_MS, () => this.start());
    }
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
