import * as v from 'valibot';
import { bytesSchema } from './codec.ts';
import { membershipRecordsSchema } from './hello.ts';
import { machineNameSchema } from './node-record.ts';
import { defineProtocol } from './protocol.ts';

/** Bytes of the one-time secret in a ticket. */
export const JOIN_TOKEN_BYTES = 16;

/** A stranger shows its ticket's token and says what it wants to be called. */
export const joinRequestSchema = v.object({
  version: v.literal(1),
  token: v.pipe(bytesSchema, v.length(JOIN_TOKEN_BYTES)),
  name: machineNameSchema,
});
export type JoinRequest = v.InferOutput<typeof joinRequestSchema>;

/** The inviter's answer: the mesh's records, the joiner's new certificate among them. A refusal is an error frame. */
export const joinAnswerSchema = v.object({ version: v.literal(1), membership: membershipRecordsSchema });
export type JoinAnswer = v.InferOutput<typeof joinAnswerSchema>;

export const joinProtocol = defineProtocol({
  id: '/mesh/join/1.0.0',
  maxFrameBytes: 4 * 1024 * 1024,
  dialerSchema: joinRequestSchema,
  listenerSchema: joinAnswerSchema,
  maxInboundStreams: 1,
});
