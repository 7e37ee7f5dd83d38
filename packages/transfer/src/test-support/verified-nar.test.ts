import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { narOf } from './memory-store.ts';
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

const contents = fc.uint8Array({ minLength: 1, maxLength: 300 });
const chunkSize = fc.integer({ min: 1, max: 99 });

test('what was promised passes unchanged', async () => {
  await fc.assert(
    fc.asyncProperty(contents, chunkSize, async (file, size) => {
      const nar = narOf(file);
      const { bytes, error } = await run(chunked(nar, size), infoOf(nar));
      expect(error).toBeUndefined();
      expect(Buffer.compare(bytes, nar)).toBe(0);
    }),
  );
});

test('another NAR, a shortened or a lengthened one never completes', async () => {
  await fc.assert(
    fc.asyncProperty(
      contents,
      contents,
      chunkSize,
      fc.integer({ min: -3, max: 3 }),
      async (file, other, size, cut) => {
        const promised = narOf(file);
        const whole = narOf(other);
        const sent = cut < 0 ? whole.subarray(0, cut) : Buffer.concat([whole, Buffer.alloc(cut)]);
        fc.pre(Buffer.compare(promised, sent) !== 0);
        const { bytes, error } = await run(chunked(sent, size), infoOf(promised));
        expect(error).toMatchObject({ code: 'TRANSFER_BAD_HASH', peerId: 'peer-a', path: PATH });
        expect(bytes.length).toBeLessThan(promised.length);
      },
    ),
  );
});

test('bytes that are no NAR never complete, even where their hash was promised', async () => {
  const trick = Buffer.concat([narOf('innocent'), narOf('smuggled in behind')]);
  const { bytes, error } = await run(chunked(trick, 16), infoOf(trick));
  expect(error).toMatchObject({ code: 'TRANSFER_BAD_HASH' });
  expect(bytes.length).toBeLessThan(narOf('innocent').length);
});

test('a fault of the source keeps its own name', async () => {
  const lost = new Error('the cable');
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield narOf('x').subarray(0, 10);
    throw lost;
  };
  expect((await run(broken(), infoOf(narOf('x')))).error).toBe(lost);
});
