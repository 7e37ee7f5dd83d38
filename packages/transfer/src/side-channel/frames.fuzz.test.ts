import { arbitraryCuts, arbitraryMutations, mutated, pieces } from '@mesh/nix/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ANSWERED, ASKED, FRAME_KIND, FrameError, type FrameKind, FrameReader, frame } from './frames.ts';
import {
  MAX_BATCH_BYTES,
  MAX_BATCH_PATHS,
  MAX_BITMAP_BYTES,
  MAX_DATA_BYTES,
  MAX_FETCHERS,
  MAX_PATH_BYTES,
  MAX_RANGE_BYTES,
} from './limits.ts';
import * as messages from './messages.ts';

const path = fc
  .constantFrom('zlib-1.3', 'n'.repeat(211))
  .map((name) => `/nix/store/${'0'.repeat(32)}-${name}`);
const id = fc.nat(2 ** 32 - 1);

/** Well-formed frames of both ends. */
const arbitraryFrame: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .record({
      id,
      path,
      offset: fc.maxSafeNat().map((at) => at % 2 ** 52),
      bytes: fc.nat(MAX_RANGE_BYTES),
      zstd: fc.boolean(),
    })
    .map(messages.rangeFrame),
  fc
    .record({
      id,
      paths: fc.array(path, { minLength: 1, maxLength: 3 }),
      bytes: fc.nat(MAX_BATCH_BYTES),
      zstd: fc.boolean(),
    })
    .map(messages.batchFrame),
  fc
    .tuple(fc.constantFrom('cancel' as const, 'end' as const), id)
    .map(([kind, of]) => messages.idFrame(kind, of)),
  fc
    .tuple(fc.constantFrom('watch' as const, 'unwatch' as const), path)
    .map(([kind, of]) => messages.pathFrame(kind, of)),
  fc
    .record({ id, code: fc.constant('TRANSFER_PEER_REFUSED'), message: fc.string() })
    .map(messages.errorFrame),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => frame('data', bytes)),
  fc
    .tuple(fc.integer({ min: 1, max: MAX_DATA_BYTES }), fc.uint8Array({ maxLength: 60 }))
    .map(([raw, packed]) => Buffer.concat([messages.packedHead(raw, packed.length), packed])),
  fc
    .tuple(
      path,
      fc.record({
        complete: fc.boolean(),
        pieces: fc.uint8Array({ maxLength: 40 }),
        fetchers: fc.array(fc.stringMatching(/^[a-zA-Z0-9]{1,52}$/), { maxLength: 4 }),
      }),
    )
    .map(([of, holding]) => messages.holdingFrame(of, holding)),
);

/** What one end understands of bytes; nothing else than a FrameError may come of them. */
function heard(chunks: readonly Uint8Array[], accepted: readonly FrameKind[]): string[] {
  const found: string[] = [];
  let data = '';
  const flush = (): void => {
    if (data !== '') found.push(`data ${data}`);
    data = '';
  };
  const reader = new FrameReader(accepted, {
    data: (bytes) => {
      data += Buffer.from(bytes).toString('hex');
    },
    frame: (kind, body) => {
      flush();
      found.push(`${kind} ${understood(kind, body)}`);
    },
  });
  try {
    for (const chunk of chunks) reader.push(chunk);
  } catch (error) {
    expect(error).toBeInstanceOf(FrameError);
    found.push('refused');
  }
  flush();
  return found.toSorted();
}

/** Reads a body as its end does, and holds what it says against the limits. */
function understood(kind: Exclude<FrameKind, 'data'>, body: Uint8Array): string {
  switch (kind) {
    case 'range': {
      const range = messages.readRange(body);
      expect(range.bytes).toBeLessThanOrEqual(MAX_RANGE_BYTES);
      expect(Number.isSafeInteger(range.offset + range.bytes)).toBe(true);
      return JSON.stringify(range);
    }
    case 'batch': {
      const batch = messages.readBatch(body);
      expect(batch.bytes).toBeLessThanOrEqual(MAX_BATCH_BYTES);
      expect(batch.paths.length).toBeLessThanOrEqual(MAX_BATCH_PATHS);
      return JSON.stringify(batch);
    }
    case 'cancel':
    case 'end':
      return String(messages.readId(body));
    case 'error':
      return JSON.stringify(messages.readError(body));
    case 'watch':
    case 'unwatch':
      return messages.readPath(body);
    case 'packed': {
      const { rawBytes, packed } = messages.readPacked(body);
      expect(rawBytes).toBeLessThanOrEqual(MAX_DATA_BYTES);
      return `${rawBytes} ${Buffer.from(packed).toString('hex')}`;
    }
    case 'holding': {
      const { path: of, holding } = messages.readHolding(body);
      expect(Buffer.byteLength(of, 'latin1')).toBeLessThanOrEqual(MAX_PATH_BYTES);
      expect(holding.pieces.length).toBeLessThanOrEqual(MAX_BITMAP_BYTES);
      expect(holding.fetchers.length).toBeLessThanOrEqual(MAX_FETCHERS);
      return JSON.stringify([of, holding.complete, [...holding.pieces], holding.fetchers]);
    }
  }
}

describe.each([
  ['the serving end', ASKED],
  ['the asking end', ANSWERED],
])('%s', (_, accepted) => {
  test('hears the same however its bytes are cut and spoilt, or refuses', () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryFrame, { minLength: 1, maxLength: 5 }),
        fc.option(arbitraryMutations, { nil: [] }),
        arbitraryCuts,
        (frames, mutations, cuts) => {
          const bytes = mutated(Buffer.concat(frames), mutations);
          expect(heard(pieces(bytes, cuts), accepted)).toEqual(heard([bytes], accepted));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('makes nothing of any bytes but frames it knows', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(FRAME_KIND), 0, 255), fc.uint8Array(), (kind, rest) => {
        heard([Buffer.of(kind, 0, 0, 0, rest.length), rest, rest], accepted);
      }),
      { numRuns: 1_000 },
    );
  });

  test('holds no more of a frame than the frame’s limit, whatever its header promises', () => {
    for (const kind of Object.values(FRAME_KIND)) {
      const header = Buffer.of(kind, 0xff, 0xff, 0xff, 0xff);
      expect(heard([header], accepted)).toEqual(['refused']);
    }
  });
});
