import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FRAME_KIND, FrameError, type FrameKind, FrameReader, frame, frameHeader } from './frames.ts';

const kinds = Object.keys(FRAME_KIND) as FrameKind[];

interface Read {
  readonly kind: FrameKind;
  readonly bytes: string;
}

/** A reader and what it told, each part of a data frame by itself. */
function reading(accepted: FrameKind[] = kinds): { reader: FrameReader; read: Read[] } {
  const read: Read[] = [];
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  const reader = new FrameReader(accepted, {
    data: (bytes) => read.push({ kind: 'data', bytes: hex(bytes) }),
    frame: (kind, body) => read.push({ kind, bytes: hex(body) }),
  });
  return { reader, read };
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
        kind: fc.constantFrom<FrameKind>('range', 'error', 'packed', 'holding'),
        body: fc.uint8Array({ maxLength: 200 }),
      }),
      fc.record({ kind: fc.constant<FrameKind>('end'), body: fc.constant(new Uint8Array(4)) }),
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), cuts, (frames, sizes) => {
        const stream = Buffer.concat(frames.flatMap((f) => [frameHeader(f.kind, f.body.length), f.body]));
        const { reader, read } = reading();
        // The network's buffer is used again for every chunk.
        for (const chunk of cut(stream, sizes)) {
          const lent = Buffer.from(chunk);
          reader.push(lent);
          lent.fill(0xff);
        }
        const joined = (list: Read[]) =>
          list.reduce<string[]>((all, f) => {
            if (f.kind !== 'data') all.push(`${f.kind}:${f.bytes}`);
            else if (all.at(-1)?.startsWith('data:')) all.push(`${all.pop()}${f.bytes}`);
            else if (f.bytes !== '') all.push(`data:${f.bytes}`);
            return all;
          }, []);
        const sent = frames.map((f) => ({ kind: f.kind, bytes: Buffer.from(f.body).toString('hex') }));
        expect(joined(read)).toEqual(joined(sent));
        expect(reader.atBoundary).toBe(true);
      }),
    );
  });

  test('garbage is refused or waited out, never looped over or thrown as anything else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 }), (chunks) => {
        const { reader } = reading();
        try {
          for (const chunk of chunks) reader.push(chunk);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
    );
  });

  test.each(kinds)('a %s frame over its limit is refused from the header alone', (kind) => {
    const header = Buffer.from([FRAME_KIND[kind], 0xff, 0xff, 0xff, 0xff]);
    expect(() => reading().reader.push(header)).toThrow('over the limit');
  });

  test('a kind the other end may not send is refused', () => {
    expect(() => reading(['range']).reader.push(frameHeader('data', 0))).toThrow(FrameError);
  });

  test('a stream that stops inside a frame does not stand at a boundary', () => {
    const { reader } = reading();
    reader.push(frame('watch', Buffer.from('/nix/store/x')).subarray(0, 7));
    expect(reader.atBoundary).toBe(false);
  });
});
