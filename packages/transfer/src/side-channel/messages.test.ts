import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ANSWERED, ASKED, FrameError, type FrameKind, FrameReader } from './frames.ts';
import {
  MAX_BATCH_BYTES,
  MAX_BATCH_PATHS,
  MAX_BITMAP_BYTES,
  MAX_FETCHERS,
  MAX_PATH_BYTES,
  MAX_RANGE_BYTES,
} from './limits.ts';
import {
  batchFrame,
  errorFrame,
  holdingFrame,
  idFrame,
  packedHead,
  pathFrame,
  rangeFrame,
  readBatch,
  readError,
  readHolding,
  readId,
  readPacked,
  readPath,
  readRange,
} from './messages.ts';

/** The one frame in these bytes. */
function bodyOf(bytes: Uint8Array): { kind: FrameKind; body: Uint8Array } {
  let found: { kind: FrameKind; body: Uint8Array } | undefined;
  const reader = new FrameReader([...ASKED, ...ANSWERED], {
    data: () => undefined,
    frame: (kind, body) => {
      found = { kind, body: body.slice() };
    },
  });
  reader.push(bytes);
  expect(reader.atBoundary).toBe(true);
  return found!;
}

const path = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: MAX_PATH_BYTES });
const id = fc.nat({ max: 2 ** 32 - 1 });

describe('what one end writes the other reads', () => {
  test('ranges', () => {
    const range = fc.record({
      id,
      path,
      offset: fc.nat({ max: Number.MAX_SAFE_INTEGER - MAX_RANGE_BYTES }),
      bytes: fc.nat({ max: MAX_RANGE_BYTES }),
      zstd: fc.boolean(),
    });
    fc.assert(
      fc.property(range, (asked) => {
        const { kind, body } = bodyOf(rangeFrame(asked));
        expect(kind).toBe('range');
        expect(readRange(body)).toEqual(asked);
      }),
    );
  });

  test('batches', () => {
    const batch = fc.record({
      id,
      paths: fc.array(path, { minLength: 1, maxLength: MAX_BATCH_PATHS }),
      bytes: fc.nat({ max: MAX_BATCH_BYTES }),
      zstd: fc.boolean(),
    });
    fc.assert(
      fc.property(batch, (asked) => {
        const { kind, body } = bodyOf(batchFrame(asked));
        expect(kind).toBe('batch');
        expect(readBatch(body)).toEqual(asked);
      }),
    );
  });

  test('cancels, ends, watches and errors', () => {
    expect(bodyOf(idFrame('cancel', 7)).kind).toBe('cancel');
    expect(readId(bodyOf(idFrame('end', 2 ** 32 - 1)).body)).toBe(2 ** 32 - 1);
    expect(readPath(bodyOf(pathFrame('watch', '/nix/store/ü')).body)).toBe('/nix/store/ü');
    expect(readError(bodyOf(errorFrame({ id: 3, code: 'A', message: 'b c' })).body)).toEqual({
      id: 3,
      code: 'A',
      message: 'b c',
    });
  });

  test('holdings, up to as many fetchers as are told of', () => {
    const holding = fc.record({
      complete: fc.boolean(),
      pieces: fc.uint8Array({ maxLength: MAX_BITMAP_BYTES }),
      fetchers: fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 60 }), {
        maxLength: MAX_FETCHERS + 5,
      }),
    });
    fc.assert(
      fc.property(path, holding, (of, held) => {
        const read = readHolding(bodyOf(holdingFrame(of, held)).body);
        expect(read).toEqual({
          path: of,
          holding: { ...held, fetchers: held.fetchers.slice(0, MAX_FETCHERS) },
        });
      }),
    );
  });

  test('packed blocks', () => {
    const bytes = Buffer.concat([packedHead(1000, 3), Buffer.from('abc')]);
    const { rawBytes, packed } = readPacked(bodyOf(bytes).body);
    expect([rawBytes, Buffer.from(packed).toString()]).toEqual([1000, 'abc']);
  });
});

describe('what no well-meaning end writes is refused', () => {
  test.each<[string, () => unknown]>([
    ['a range over the limit', () => readRange(rangeOf(0n, BigInt(MAX_RANGE_BYTES + 1)))],
    ['a range beyond any file', () => readRange(rangeOf(2n ** 53n, 1n))],
    ['a range of no path', () => readRange(rangeOf(0n, 1n).subarray(0, 21))],
    ['half an id', () => readId(Buffer.alloc(3))],
    ['an error of no range', () => readError(Buffer.alloc(2))],
    ['a block of nothing', () => readPacked(Buffer.alloc(10))],
    ['a block that unpacks to a gigabyte', () => readPacked(Buffer.from([0x40, 0, 0, 0, 1]))],
    ['a holding with 65,535 fetchers', () => readHolding(Buffer.from([1, 0, 1, 120, 0, 0, 255, 255]))],
    ['a holding whose path is cut', () => readHolding(Buffer.from([1, 0, 9, 120]))],
  ])('%s', (_what, read) => {
    expect(read).toThrow(FrameError);
  });

  test('any bytes are read or refused, nothing else', () => {
    const readers = [readRange, readId, readError, readPacked, readHolding, readPath];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(...readers), (bytes, read) => {
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
    );
  });
});

function rangeOf(offset: bigint, bytes: bigint): Buffer {
  const body = Buffer.alloc(22, 'x');
  body.writeBigUInt64BE(offset, 5);
  body.writeBigUInt64BE(bytes, 13);
  return body;
}
