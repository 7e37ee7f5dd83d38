import * as v from 'valibot';
import { defineProtocol } from './protocol.ts';

/**
 * Claims between homes: a derivation that two jobs on two machines need is built once.
 * The home that registers a derivation tells every member before it leases it, and waits for `noted`; the owner of a shared
 * derivation answers for it with `released`. Each home says all it has to say to another on the one stream that it opened,
 * because the rules for crossing claims (packages/schedule) rest on that order.
 */
const drvPaths = v.pipe(v.array(v.pipe(v.string(), v.maxLength(400))), v.maxLength(100_000));
/** Rises with every claim of a home. */
const stamp = v.pipe(v.number(), v.integer(), v.minValue(0));

export const claimMessageSchema = v.variant('type', [
  /** I am about to lease these. */
  v.object({ type: v.literal('claim'), stamp, drvPaths }),
  /** Your claim with this stamp stands in my book. */
  v.object({ type: v.literal('noted'), stamp }),
  /** I no longer build these: built (and by whom they are held), or given up. */
  v.object({
    type: v.literal('released'),
    derivations: v.pipe(
      v.array(
        v.object({
          drvPath: v.pipe(v.string(), v.maxLength(400)),
          stamp,
          outcome: v.picklist(['built', 'gone']),
          holders: v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(64)),
        }),
      ),
      v.maxLength(100_000),
    ),
  }),
]);
export type ClaimMessage = v.InferOutput<typeof claimMessageSchema>;

/** Only the side that called speaks; the other answers on the stream that it opened itself. */
export const claimsProtocol = defineProtocol<ClaimMessage, ClaimMessage>({
  id: '/mesh/claims/1.0.0',
  maxFrameBytes: 16 * 1024 * 1024,
  dialerSchema: claimMessageSchema,
  listenerSchema: claimMessageSchema,
  // One is kept; a second may overlap while the first is given up.
  maxInboundStreams: 4,
});
