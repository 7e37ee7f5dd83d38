import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrame, FrameDecoder } from './frame.ts';

const LIMIT = 1_000;

/** `bytes` cut at the given places. */
function cut(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [...sorted, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : sorted[i - 1], end));
}

function framesOf(chunks: Uint8Array[], limit = LIMIT): { frames: Uint8Array[]; left: number } {
  const decoder = new FrameDecoder(limit);
  const frames: Uint8Array[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
  }
  return { frames, left: decoder.bufferedBytes };
}

describe('FrameDecoder', () => {
  it('gives back the frames however the bytes were cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        (payloads, places) => {
          const stream = Buffer.concat(payloads.map(encodeFrame));
          expect(framesOf(cut(stream, places))).toEqual({ frames: payloads, left: 0 });
        },
      ),
    );
  });

  it('gives back frames that came one byte at a time', () => {
    const payloads = Array.from({ length: 50 }, (_, i) => new Uint8Array(i).fill(i));
    const stream = Buffer.concat(payloads.map(encodeFrame));
    expect(framesOf([...stream].map((byte) => Uint8Array.of(byte))).frames).toEqual(payloads);
  });

  it('counts what is left of a frame cut short', () => {
    const frame = encodeFrame(new Uint8Array(10));
    expect(framesOf([frame.subarray(0, 9)])).toEqual({ frames: [], left: 9 });
  });

  it('refuses a frame over the limit from its header alone', () => {
    const header = encodeFrame(new Uint8Array(LIMIT + 1)).subarray(0, 4);
    expect(() => framesOf([header])).toThrow(expect.objectContaining({ code: 'WIRE_FRAME_TOO_LARGE' }));
  });

  it('accepts a frame of exactly the limit', () => {
    expect(framesOf([encodeFrame(new Uint8Array(LIMIT))]).frames).toHaveLength(1);
  });

  it('takes random bytes as frames within the limit or refuses them, and never invents bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 20 }), (chunks) => {
        const pushed = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        try {
          const { frames, left } = framesOf(chunks, 64);
          const taken = frames.reduce((sum, frame) => sum + frame.length + 4, 0);
          expect(taken + left).toBe(pushed);
        } catch (error) {
          expect(error).toMatchObject({ code: 'WIRE_FRAME_TOO_LARGE' });
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
