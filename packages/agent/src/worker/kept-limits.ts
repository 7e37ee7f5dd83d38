/** How much of what was built here for others is kept, as an owner writes it down. */
export interface KeepConfig {
  /** Disk that kept results may take with all they refer to: bytes, or a number with K, M, G or T (of 1,024 each) behind it. */
  maxBytes?: number | string;
  /** A result nobody has used for so long is kept no more. */
  maxAgeHours?: number;
}

/** Limits in force. */
export interface KeepLimits {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

/** What a string of {@link KeepConfig.maxBytes} looks like. */
export const SIZE_PATTERN = '^[0-9]{1,15}(\\.[0-9]{1,3})?[KMGT]?$';

/** A few large jobs' worth: enough that the next job of the same kind finds its inputs. */
const DEFAULT_MAX_BYTES = 10 * 1024 ** 3;
/** Over a weekend. */
const DEFAULT_MAX_AGE_HOURS = 72;
const HOUR_MS = 3_600_000;
const UNITS = ['', 'K', 'M', 'G', 'T'];

/** The limits that a valid configuration means. */
export function keepLimits({ maxBytes, maxAgeHours }: KeepConfig): KeepLimits {
  return {
    maxBytes: maxBytes === undefined ? DEFAULT_MAX_BYTES : bytesOf(maxBytes),
    maxAgeMs: (maxAgeHours ?? DEFAULT_MAX_AGE_HOURS) * HOUR_MS,
  };
}

/** The bytes a valid size means. */
export function bytesOf(size: number | string): number {
  if (typeof size === 'number') return size;
  const unit = UNITS.indexOf(/[KMGT]$/.exec(size)?.[0] ?? '');
  return Math.floor(Number.parseFloat(size) * 1024 ** unit);
}
