import * as v from 'valibot';
import { bytesSchema } from './codec.ts';

/** Largest payload that travels signed: a certificate, a removal or a node record. */
export const MAX_SIGNED_PAYLOAD_BYTES = 8 * 1024;

/** Bytes and the ed25519 signature of their subject over {@link signedBytes} of them. */
export const signedEnvelopeSchema = v.object({
  payload: v.pipe(bytesSchema, v.maxLength(MAX_SIGNED_PAYLOAD_BYTES)),
  signature: v.pipe(bytesSchema, v.length(64)),
});
export type SignedEnvelope = v.InferOutput<typeof signedEnvelopeSchema>;

/** What a signature is for, so that one made for one purpose is worthless for another. */
export type SignatureDomain = 'mesh-node-record' | 'mesh-membership';

/** The bytes a signature covers: the domain, a zero byte, the payload. */
export function signedBytes(domain: SignatureDomain, payload: Uint8Array): Uint8Array {
  const prefix = new TextEncoder().encode(`${domain}\0`);
  const bytes = new Uint8Array(prefix.length + payload.length);
  bytes.set(prefix);
  bytes.set(payload, prefix.length);
  return bytes;
}
