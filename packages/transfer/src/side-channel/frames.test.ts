import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FRAME_KIND, FrameError, type FrameKind, FrameReader, frameHeader, textFrame } from './frames.ts';

const kinds = Object.keys(FRAME_KIND) as FrameKind[];

/** Reads a whole stream, joining the pieces of data frames. */
function read(reader: FrameReader, chunks: Uint8Array[]): { kind: FrameKind; bytes: string }[] {
  const frames: { kind: FrameKind; bytes: string }[] = [];
  for (const chunk of chunks) {
    for (const { kind, bytes } of reader.push(chunk)) {
      frames.push({ kind, bytes: Buffer.from(bytes).toString('hex') });
    }
  }
  return frames;
}

function cut(bytes: Uint8Array, sizes: number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let offset = 0;
  for (let turn = 0; offset < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length]!;
    chunks.push(bytes.subarray(offset, offset + size));
    offset += size;
  }
  return chunks;
}

describe('side-channel frames', () => {
  test('come out as they went in, however the network cuts them', () => {
    const frame = fc.oneof(
      fc.record({ kind: fc.constant<FrameKind>('data'), body: fc.uint8Array({ maxLength: 300 }) }),
      fc.record({
        kind: fc.constantFrom<FrameKind>('nar', 'error'),
        body: fc.uint8Array({ maxLength: 200 }),
      }),
      fc.record({ kind: fc.constant<FrameKind>('end'), body: fc.constant(new Uint8Array(0)) }),
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), cuts, (frames, sizes) => {
        const stream = Buffer.concat(frames.flatMap((f) => [frameHeader(f.kind, f.body.length), f.body]));
        const reader = new FrameReader(kinds);
        const got = read(reader, cut(stream, sizes));
        const joined = (list: { kind: FrameKind; bytes: string }[]) =>
          list.reduce<string[]>((all, f) => {
            if (f.kind !== 'data') all.push(`${f.kind}:${f.bytes}`);
            else if (all.at(-1)?.startsWith('data:')) all.push(`${all.pop()}${f.bytes}`);
            else if (f.bytes !== '') all.push(`data:${f.bytes}`);
            return all;
          }, []);
        const sent = frames.map((f) => ({ kind: f.kind, bytes: Buffer.from(f.body).toString('hex') }));
        expect(joined(got)).toEqual(joined(sent));
        expect(reader.atBoundary).toBe(true);
      }),
    );
  });

  test('garbage is refused or waited out, never looped over or thrown as anything else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 }), (chunks) => {
        const reader = new FrameReader(kinds);
        try {
          read(reader, chunks);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
    );
  });

  test('a length over the limit is refused from the header alone', () => {
    const header = Buffer.from([FRAME_KIND.data, 0xff, 0xff, 0xff, 0xff]);
    expect(() => read(new FrameReader(kinds), [header])).toThrow('over the limit');
  });

  test('a kind the other end may not send is refused', () => {
    expect(() => read(new FrameReader(['nar']), [frameHeader('end', 0)])).toThrow(FrameError);
  });

  test('a stream that stops inside a frame does not stand at a boundary', () => {
    const reader = new FrameReader(kinds);
    read(reader, [textFrame('nar', '/nix/store/x').subarray(0, 7)]);
    expect(reader.atBoundary).toBe(false);
  });
});
