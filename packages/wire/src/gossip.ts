import * as v from 'valibot';
import { membershipRecordsSchema } from './hello.ts';
import { peerIdSchema } from './node-record.ts';
import { defineProtocol } from './protocol.ts';
import { signedEnvelopeSchema } from './signed.ts';

/** One message of the stream that two connected members keep open for as long as they are connected. */
export const gossipMessageSchema = v.variant('type', [
  /** Node records, each signed by its subject; newer ones replace older ones. */
  v.object({ type: v.literal('nodes'), records: v.pipe(v.array(signedEnvelopeSchema), v.maxLength(512)) }),
  /** Certificates and removals. */
  v.object({ type: v.literal('membership'), records: membershipRecordsSchema }),
  /** Members the sender is connected to: their records need not be forwarded to it. */
  v.object({ type: v.literal('links'), peers: v.pipe(v.array(peerIdSchema), v.maxLength(1_024)) }),
  /** Nothing but a sign of life. */
  v.object({ type: v.literal('ping') }),
]);
export type GossipMessage = v.InferOutput<typeof gossipMessageSchema>;

export const gossipProtocol = defineProtocol({
  id: '/mesh/gossip/1.0.0',
  maxFrameBytes: 4 * 1024 * 1024,
  dialerSchema: gossipMessageSchema,
  listenerSchema: gossipMessageSchema,
  maxInboundStreams: 2,
});
