import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { verifiedNar } from './verified-nar.ts';

const PATH = '/nix/store/00000000000000000000000000000000-x';
const PEER = { peerId: 'peer-a', name: 'alpha' };

function infoOf(bytes: Uint8Array) {
  return { path: PATH, narHash: createHash('sha256').update(bytes).digest(), narSize: bytes.length };
}

async function* chunked(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

/** What came through, and the error it ended with. */
async function run(sent: AsyncIterable<Uint8Array>, info: ReturnType<typeof infoOf>) {
  const parts: Uint8Array[] = [];
  try {
    for await (const chunk of verifiedNar(sent, info, PEER)) parts.push(chunk);
    return { bytes: Buffer.concat(parts), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(parts), error };
  }
}

test('what was promised passes unchanged', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 500 }),
      fc.integer({ min: 1, max: 99 }),
      async (nar, size) => {
        const { bytes, error } = await run(chunked(nar, size), infoOf(nar));
        expect(error).toBeUndefined();
        expect(bytes.equals(nar)).toBe(true);
      },
    ),
  );
});

test('anything else never completes: changed, shortened or lengthened', async () => {
  const nar = fc.uint8Array({ minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(nar, nar, fc.integer({ min: 1, max: 99 }), async (promised, sent, size) => {
      fc.pre(Buffer.compare(promised, sent) !== 0);
      const { bytes, error } = await run(chunked(sent, size), infoOf(promised));
      expect(error).toMatchObject({ code: 'TRANSFER_BAD_HASH', peerId: 'peer-a', path: PATH });
      expect(bytes.length).toBeLessThan(promised.length);
    }),
  );
});

test('the error names the peer and the path in one sentence', async () => {
  const { error } = await run(chunked(Buffer.from('aa'), 1), infoOf(Buffer.from('ab')));
  expect((error as Error).message).toBe(
    `alpha sent contents with another hash for ${PATH}; it is not asked for this path again.`,
  );
});
