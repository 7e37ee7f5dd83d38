import * as v from 'valibot';
import { decodeUnchecked, encode, type Schema, validate } from './codec.ts';
import { encodeFrame } from './frame.ts';
import { WireError } from './wire-error.ts';

/** A protocol between two agents: its name and version, its limits, and what each side may say. */
export interface ProtocolDefinition<DialerMessage, ListenerMessage> {
  /** `/mesh/NAME/MAJOR.MINOR.PATCH` */
  readonly id: string;
  /** Largest frame either side may send. */
  readonly maxFrameBytes: number;
  /** Messages of the side that opened the stream. */
  readonly dialerSchema: Schema<DialerMessage>;
  /** Messages of the side that was called. */
  readonly listenerSchema: Schema<ListenerMessage>;
  /** Streams of this protocol one peer may hold open here at a time; more are reset. */
  readonly maxInboundStreams: number;
}

/** Checks a protocol definition once, where it is written. */
export function defineProtocol<DialerMessage, ListenerMessage>(
  definition: ProtocolDefinition<DialerMessage, ListenerMessage>,
): ProtocolDefinition<DialerMessage, ListenerMessage> {
  if (!/^\/mesh\/[a-z][a-z0-9-]*\/\d+\.\d+\.\d+$/.test(definition.id)) {
    throw new Error(`Protocol id ${definition.id} is not of the form /mesh/NAME/1.0.0.`);
  }
  return Object.freeze(definition);
}

const MAX_ERROR_MESSAGE_CHARS = 2_000;

const envelopeSchema = v.variant('k', [
  v.object({ k: v.literal('m'), b: v.unknown() }),
  v.object({ k: v.literal('open') }),
  v.object({ k: v.literal('end') }),
  v.object({
    k: v.literal('err'),
    code: v.pipe(v.string(), v.maxLength(64)),
    message: v.pipe(v.string(), v.maxLength(MAX_ERROR_MESSAGE_CHARS)),
  }),
]);

/**
 * What one frame says: a message, that no more follow, or why the sender gives the stream up. `open` is the dialer's first frame: it
 * says that the protocol is agreed on at its end too, before which nothing may be said or closed.
 */
export type Envelope<T> =
  | { k: 'm'; b: T }
  | { k: 'open' }
  | { k: 'end' }
  | { k: 'err'; code: string; message: string };

/**
 * A frame (length and all) that holds `envelope`.
 * @throws {WireError} `WIRE_FRAME_TOO_LARGE`: nothing was sent
 */
export function encodeEnvelope(envelope: Envelope<unknown>, maxFrameBytes: number): Uint8Array {
  const payload = encode(
    envelope.k === 'err'
      ? { ...envelope, message: envelope.message.slice(0, MAX_ERROR_MESSAGE_CHARS) }
      : envelope,
  );
  if (payload.length > maxFrameBytes) {
    throw new WireError(
      'WIRE_FRAME_TOO_LARGE',
      `A message of ${payload.length} bytes is larger than the ${maxFrameBytes} bytes its protocol allows.`,
    );
  }
  return encodeFrame(payload);
}

/**
 * The envelope in a frame's payload, its message checked against `schema`.
 * @throws {WireError} `WIRE_BAD_MESSAGE`
 */
export function decodeEnvelope<T>(schema: Schema<T>, payload: Uint8Array): Envelope<T> {
  const envelope = validate(envelopeSchema, decodeUnchecked(payload));
  return envelope.k === 'm' ? { k: 'm', b: validate(schema, envelope.b) } : envelope;
}
