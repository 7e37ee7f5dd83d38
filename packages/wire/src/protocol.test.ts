import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { encode } from './codec.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';
import { decodeEnvelope, defineProtocol, encodeEnvelope } from './protocol.ts';

const schema = v.object({ n: v.number() });
const payloadOf = (frame: Uint8Array) => frame.subarray(FRAME_HEADER_BYTES);

describe('envelopes', () => {
  it.each([{ k: 'm', b: { n: 1 } }, { k: 'end' }, { k: 'err', code: 'X', message: 'why' }] as const)(
    '$k survives the wire',
    (envelope) => {
      expect(decodeEnvelope(schema, payloadOf(encodeEnvelope(envelope, 1_000)))).toEqual(envelope);
    },
  );

  it('refuses a message of another schema', () => {
    const frame = encodeEnvelope({ k: 'm', b: { n: 'one' } }, 1_000);
    expect(() => decodeEnvelope(schema, payloadOf(frame))).toThrow(
      expect.objectContaining({ code: 'WIRE_BAD_MESSAGE' }),
    );
  });

  it('refuses a kind of frame it does not know', () => {
    expect(() => decodeEnvelope(schema, encode({ k: 'new' }))).toThrow(/schema/);
  });

  it('does not send a message over the limit', () => {
    expect(() => encodeEnvelope({ k: 'm', b: 'x'.repeat(100) }, 50)).toThrow(
      expect.objectContaining({ code: 'WIRE_FRAME_TOO_LARGE' }),
    );
  });

  it('cuts an error message that is too long to travel', () => {
    const frame = encodeEnvelope({ k: 'err', code: 'X', message: 'x'.repeat(100_000) }, 10_000);
    expect(decodeEnvelope(schema, payloadOf(frame))).toMatchObject({ k: 'err' });
  });

  it('refuses a protocol id without a version', () => {
    const definition = {
      maxFrameBytes: 1,
      maxInboundStreams: 1,
      dialerSchema: schema,
      listenerSchema: schema,
    };
    expect(() => defineProtocol({ ...definition, id: '/mesh/x' })).toThrow(/1\.0\.0/);
  });
});
