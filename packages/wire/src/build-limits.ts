import * as v from 'valibot';

/** Seconds that fit Nix's settings. */
const seconds = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2_147_483_647));

/** What whoever wants a build allows it; what is absent is unlimited. The machine that builds may allow less. */
export const buildLimitsSchema = v.object({
  cores: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_536))),
  /** From its start. */
  timeoutS: v.optional(seconds),
  /** Without a line of output. */
  maxSilentS: v.optional(seconds),
});
export type BuildLimits = v.InferOutput<typeof buildLimitsSchema>;
