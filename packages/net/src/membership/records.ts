import {
  decode,
  encode,
  machineNameSchema,
  peerIdSchema,
  type SignedEnvelope,
  signedBytes,
} from '@mesh/wire';
import * as v from 'valibot';
import { NetError } from '../errors.ts';
import { type Identity, verifyWith } from '../identity.ts';

const roleSchema = v.picklist(['build', 'submit', 'admin']);
const wallMs = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const certificateSchema = v.object({
  type: v.literal('certificate'),
  version: v.literal(1),
  meshId: peerIdSchema,
  peerId: peerIdSchema,
  name: machineNameSchema,
  roles: v.pipe(v.array(roleSchema), v.maxLength(3)),
  issuedAt: wallMs,
  expiresAt: wallMs,
  issuer: peerIdSchema,
});

const removalSchema = v.object({
  type: v.literal('removal'),
  version: v.literal(1),
  meshId: peerIdSchema,
  peerId: peerIdSchema,
  removedAt: wallMs,
  issuer: peerIdSchema,
});

const recordSchema = v.variant('type', [certificateSchema, removalSchema]);

/** What a member may do: run builds, submit jobs, invite and remove. */
export type Role = v.InferOutput<typeof roleSchema>;
/** A member's right to be one, signed by its issuer. Times are wall-clock milliseconds. */
export type Certificate = v.InferOutput<typeof certificateSchema>;
/** The end of a peer's membership, for ever. */
export type Removal = v.InferOutput<typeof removalSchema>;
export type MembershipRecord = v.InferOutput<typeof recordSchema>;

export const ALL_ROLES: readonly Role[] = ['build', 'submit', 'admin'];

/** `record` signed by `issuer`, whose peer id it must name. */
export function signRecord(record: MembershipRecord, issuer: Identity): SignedEnvelope {
  if (record.issuer !== issuer.peerId) throw new Error('A membership record is signed by its issuer.');
  const payload = encode(record);
  return { payload, signature: issuer.sign(signedBytes('mesh-membership', payload)) };
}

/**
 * The record in `envelope`, its signature verified against the issuer it names.
 * @throws {NetError} `NET_BAD_RECORD`
 * @throws {WireError} `WIRE_BAD_MESSAGE`
 */
export function openRecord(envelope: SignedEnvelope): MembershipRecord {
  const record = decode(recordSchema, envelope.payload);
  if (!verifyWith(record.issuer, signedBytes('mesh-membership', envelope.payload), envelope.signature)) {
    throw new NetError('NET_BAD_RECORD', 'A membership record is not signed by its issuer and was ignored.');
  }
  return record;
}

/** The founder's word on itself: all roles, until the end of time. */
export function foundMesh(founder: Identity, name: string, now: number): SignedEnvelope {
  const { peerId } = founder;
  const certificate: Certificate = {
    type: 'certificate',
    version: 1,
    meshId: peerId,
    peerId,
    name,
    roles: [...ALL_ROLES],
    issuedAt: now,
    expiresAt: Number.MAX_SAFE_INTEGER,
    issuer: peerId,
  };
  return signRecord(certificate, founder);
}
