import * as v from 'valibot';

/**
 * Claims between homes: a derivation that two jobs on two machines need is built once.
 * The home that registers a derivation tells every member before it leases it, and waits for `noted`; the owner of a shared
 * derivation answers for it with `released`. Rules for crossing claims: packages/schedule.
 */
const drvPaths = v.pipe(v.array(v.pipe(v.string(), v.maxLength(400))), v.maxLength(100_000));
const id = v.pipe(v.number(), v.integer(), v.minValue(0));

export const claimMessageSchema = v.variant('type', [
  /** I am about to lease these. */
  v.object({ type: v.literal('claim'), id, drvPaths }),
  /** Your claim `id` stands in my book. */
  v.object({ type: v.literal('noted'), id }),
  /** I no longer build these: built (and by whom they are held), or given up. */
  v.object({
    type: v.literal('released'),
    derivations: v.pipe(
      v.array(
        v.object({
          drvPath: v.pipe(v.string(), v.maxLength(400)),
          outcome: v.picklist(['built', 'failed', 'gone']),
          holders: v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(64)),
          message: v.optional(v.pipe(v.string(), v.maxLength(16_384))),
        }),
      ),
      v.maxLength(100_000),
    ),
  }),
]);
export type ClaimMessage = v.InferOutput<typeof claimMessageSchema>;

export const MAX_CLAIM_FRAME_BYTES = 16 * 1024 * 1024;
