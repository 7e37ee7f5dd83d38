import {
  decode,
  encode,
  type NodeRecord,
  nodeRecordSchema,
  type SignedEnvelope,
  signedBytes,
} from '@mesh/wire';
import { NetError } from './errors.ts';
import { type Identity, verifyWith } from './identity.ts';

interface Entry {
  record: NodeRecord;
  envelope: SignedEnvelope;
}

/** `record` signed by its subject. */
export function signNodeRecord(record: NodeRecord, identity: Identity): SignedEnvelope {
  const payload = encode(record);
  return { payload, signature: identity.sign(signedBytes('mesh-node-record', payload)) };
}

/** The newest record of each member, each signed by its subject; the highest sequence wins. */
export class RecordBook {
  readonly #entries = new Map<string, Entry>();

  /**
   * Takes a record in if it is newer than the one that is there.
   * @param isMember whether records of a peer are wanted at all
   * @returns the record if it was
   * @throws {NetError} `NET_BAD_RECORD`
   * @throws {WireError} `WIRE_BAD_MESSAGE`
   */
  accept(envelope: SignedEnvelope, isMember: (peerId: string) => boolean): NodeRecord | undefined {
    const record = decode(nodeRecordSchema, envelope.payload);
    if (!isMember(record.peerId)) return undefined;
    if (record.sequence <= (this.#entries.get(record.peerId)?.record.sequence ?? -1)) return undefined;
    if (!verifyWith(record.peerId, signedBytes('mesh-node-record', envelope.payload), envelope.signature)) {
      throw new NetError('NET_BAD_RECORD', 'A node record is not signed by its subject and was ignored.');
    }
    this.#entries.set(record.peerId, { record, envelope });
    return record;
  }

  get(peerId: string): NodeRecord | undefined {
    return this.#entries.get(peerId)?.record;
  }

  envelopes(): SignedEnvelope[] {
    return [...this.#entries.values()].map(({ envelope }) => envelope);
  }

  /** Forgets records of those who are no members any more. */
  prune(isMember: (peerId: string) => boolean): void {
    for (const peerId of [...this.#entries.keys()]) if (!isMember(peerId)) this.#entries.delete(peerId);
  }
}
