import * as v from 'valibot';

/** Highest id that is one: -1 means none. */
const id = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_fffe));

/** To the connector: connect to this socket as this user. */
export const connectRequestSchema = v.object({
  request: v.number(),
  path: v.pipe(v.string(), v.minLength(1)),
  uid: id,
  gid: id,
  /** Supplementary groups; without them those that the user database has. */
  groups: v.optional(v.array(id)),
});
export type ConnectRequest = v.InferOutput<typeof connectRequestSchema>;

/** From the connector, with the connected socket or with what went wrong. */
export const connectAnswerSchema = v.object({ request: v.number(), error: v.optional(v.string()) });
export type ConnectAnswer = v.InferOutput<typeof connectAnswerSchema>;
