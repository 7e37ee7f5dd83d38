import { arbitraryCuts, arbitraryMutations, mutated, pieces } from '@mesh/nix/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Schema } from './codec.ts';
import { FrameDecoder } from './frame.ts';
import * as wire from './index.ts';
import { decodeEnvelope, encodeEnvelope, type ProtocolDefinition } from './protocol.ts';
import { WireError } from './wire-error.ts';

const isProtocol = (value: unknown): value is ProtocolDefinition<unknown, unknown> =>
  typeof value === 'object' && value !== null && 'dialerSchema' in value;
/** Every protocol between agents. */
const EXPORTS: unknown[] = Object.values(wire);
const PROTOCOLS = EXPORTS.filter(isProtocol);
interface End {
  readonly name: string;
  readonly maxFrameBytes: number;
  readonly schema: Schema<unknown>;
}
const ENDS: End[] = PROTOCOLS.flatMap(({ id, maxFrameBytes, dialerSchema, listenerSchema }) => [
  { name: `${id}, the called end,`, maxFrameBytes, schema: dialerSchema },
  { name: `${id}, the calling end,`, maxFrameBytes, schema: listenerSchema },
]);

const path = fc
  .constantFrom('zlib-1.3', 'a', 'n'.repeat(211))
  .map((name) => `/nix/store/${'0'.repeat(32)}-${name}`);
const paths = fc.array(path, { maxLength: 4 });
const id = fc.maxSafeNat();
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** Things both ends of the store protocol say. */
const storeMessage = fc.oneof(
  fc.record({ type: fc.constant('have'), id, paths }),
  fc.record({ type: fc.constant('closure-infos'), id, paths, exclude: paths }),
  fc.record({ type: fc.constant('bulk-ticket'), id }),
  fc.record({ type: fc.constant('have'), id, valid: paths }),
  fc.record({
    type: fc.constant('closure-infos'),
    id,
    last: fc.boolean(),
    infos: fc.array(
      fc.record({
        path,
        narHash: bytes32,
        narSize: fc.integer({ min: 1, max: 2 ** 40 }),
        references: paths,
        signatures: fc.array(fc.string({ maxLength: 40 }), { maxLength: 2 }),
      }),
      { maxLength: 3 },
    ),
  }),
);
/** Anything that CBOR can say. */
const anyMessage = fc.anything({
  withNullPrototype: false,
  values: [fc.string(), fc.maxSafeInteger(), fc.boolean(), fc.constant(null)],
});
const envelope = fc.oneof(
  { weight: 5, arbitrary: storeMessage.map((b) => ({ k: 'm' as const, b: b as unknown })) },
  anyMessage.map((b) => ({ k: 'm' as const, b })),
  fc.constant({ k: 'open' as const }),
  fc.constant({ k: 'end' as const }),
  fc.record({ k: fc.constant('err' as const), code: fc.string(), message: fc.string() }),
);

/** What an agent makes of bytes from a peer; the ways out are a list of messages and a WireError. */
function heard(bytes: readonly Uint8Array[], { maxFrameBytes, schema }: End): unknown[] {
  const decoder = new FrameDecoder(maxFrameBytes);
  const messages: unknown[] = [];
  try {
    for (const piece of bytes) {
      decoder.push(piece);
      for (let payload = decoder.next(); payload !== undefined; payload = decoder.next()) {
        messages.push(decodeEnvelope(schema, payload));
      }
    }
  } catch (error) {
    expect(error).toBeInstanceOf(WireError);
  }
  return messages;
}

describe('whatever a peer sends', () => {
  test('there are protocols to try', () => {
    expect(PROTOCOLS.map(({ id: name }) => name)).toContain('/mesh/store/1.0.0');
    expect(PROTOCOLS.length).toBeGreaterThanOrEqual(6);
  });

  test.each(ENDS)('$name hears messages that can be said again, or refuses', (end) => {
    fc.assert(
      fc.property(
        fc.array(envelope, { minLength: 1, maxLength: 3 }),
        fc.option(arbitraryMutations, { nil: [] }),
        arbitraryCuts,
        (said, mutations, cuts) => {
          const stream = Buffer.concat(said.map((one) => encodeEnvelope(one, 1 << 20)));
          const sent = mutated(stream, mutations);
          const messages = heard(pieces(sent, cuts), end);
          expect(heard([sent], end)).toEqual(messages);
          for (const message of messages) {
            const again = encodeEnvelope(message as { k: 'open' }, end.maxFrameBytes);
            expect(heard([again], end)).toEqual([message]);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test('nothing a message says reaches the prototype of other objects', () => {
    // CBOR maps whose keys are those of JavaScript's own machinery.
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const name = Buffer.from(key);
      const map = Buffer.concat([
        Buffer.of(0xa1, 0x60 + name.length),
        name,
        Buffer.of(0xa1, 0x64, ...Buffer.from('evil'), 0xf5),
      ]);
      for (const { schema } of ENDS) expect(() => decodeEnvelope(schema, map)).toThrow(WireError);
    }
    expect(({} as { evil?: unknown }).evil).toBeUndefined();
  });
});
