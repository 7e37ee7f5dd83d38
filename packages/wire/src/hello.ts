import * as v from 'valibot';
import { machineNameSchema, peerIdSchema } from './node-record.ts';
import { defineProtocol } from './protocol.ts';
import { signedEnvelopeSchema } from './signed.ts';

/** Membership records one peer may tell another in one message. */
export const MAX_MEMBERSHIP_RECORDS = 4_096;

export const membershipRecordsSchema = v.pipe(
  v.array(signedEnvelopeSchema),
  v.maxLength(MAX_MEMBERSHIP_RECORDS),
);

/** The first words on a connection, both ways; only after them does a peer count as connected. */
export const helloSchema = v.object({
  version: v.literal(1),
  meshId: peerIdSchema,
  name: machineNameSchema,
  agentVersion: v.pipe(v.string(), v.maxLength(64)),
  /** When this run of the agent began (wall-clock milliseconds): a peer that comes back with another one was restarted. */
  incarnation: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  membership: membershipRecordsSchema,
  /** Said by who dials: it has no other connection with the listener, whatever that believes. */
  only: v.optional(v.boolean()),
});
export type Hello = v.InferOutput<typeof helloSchema>;

export const helloProtocol = defineProtocol({
  id: '/mesh/hello/1.0.0',
  maxFrameBytes: 4 * 1024 * 1024,
  dialerSchema: helloSchema,
  listenerSchema: helloSchema,
  maxInboundStreams: 2,
});
