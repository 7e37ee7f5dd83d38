import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { wire } from './daemon/testing/wire-bytes.ts';
import { type NarEvent, NarHasher, readNar, verifyNar, verifyNarSyntax } from './nar.ts';
import { MAX_NAR_DEPTH, NarParser } from './nar-parser.ts';
import { parseSha256 } from './path-info.ts';

// `nix-store --dump` and `nix-hash --type sha256 --base32` of Nix 2.34.8.
const TREE = readFileSync(new URL('../fixtures/tree.nar', import.meta.url));
const TREE_FACTS = {
  narHash: parseSha256('087i5lc6vxa02pzkp7dzhzzpvm10w5dvkwx8skwda96dkrjzyis8'),
  narSize: 1232,
};

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return [...chunks, bytes.subarray(at)];
}

/** Entries with their contents put together. */
async function entriesOf(chunks: Iterable<Uint8Array>): Promise<unknown[]> {
  const entries: (Exclude<NarEvent, { type: 'contents' }> & { text?: string })[] = [];
  for await (const event of readNar(chunks)) {
    if (event.type !== 'contents') entries.push({ ...event });
    else {
      const last = entries.at(-1)!;
      last.text = (last.text ?? '') + Buffer.from(event.bytes).toString();
    }
  }
  return entries;
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

const TREE_ENTRIES = [
  { type: 'directory', path: '' },
  { type: 'directory', path: 'dir' },
  { type: 'directory', path: 'dir/empty' },
  { type: 'symlink', path: 'dir/link', target: '../file' },
  { type: 'regular', path: 'dir/run', size: 10, executable: true, text: '#!/bin/sh\n' },
  { type: 'regular', path: 'file', size: 5, executable: false, text: 'hello' },
  { type: 'regular', path: 'zero', size: 0, executable: false },
];

test('an archive made by Nix is read entry by entry', async () => {
  expect(await entriesOf([TREE])).toEqual(TREE_ENTRIES);
});

test('it does not matter how the bytes arrive', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 60 }), async (sizes) => {
      const chunks = cut(TREE, sizes);
      expect(await entriesOf(chunks)).toEqual(TREE_ENTRIES);
      expect(await collect(verifyNar(chunks, TREE_FACTS))).toEqual(TREE);
    }),
  );
  const bytes = cut(TREE, Array(TREE.length).fill(1));
  expect(await entriesOf(bytes)).toEqual(TREE_ENTRIES);
});

test('the parser tells where the archive ends', () => {
  const parser = new NarParser();
  expect(parser.push(TREE.subarray(0, 1000))).toBe(1000);
  expect(parser.done).toBe(false);
  expect(parser.push(Buffer.concat([TREE.subarray(1000), Buffer.from('the next answer')]))).toBe(232);
  expect(parser.done).toBe(true);
  expect(parser.bytes).toBe(1232);
});

test('entries are told no faster than they are taken', async () => {
  let taken = 0;
  const source = function* (): Generator<Uint8Array> {
    for (const chunk of cut(TREE, [400, 400])) {
      taken += 1;
      yield chunk;
    }
  };
  const events = readNar(source());
  await events.next();
  expect(taken).toBe(1);
  await events.return();
});

describe('verifying', () => {
  test('hash and size are what Nix says', () => {
    const hasher = new NarHasher();
    hasher.push(TREE);
    const { narHash, narSize } = hasher.finish();
    expect(Buffer.from(narHash).equals(TREE_FACTS.narHash)).toBe(true);
    expect(narSize).toBe(TREE_FACTS.narSize);
  });

  test.each([
    ['another hash', [TREE], { ...TREE_FACTS, narHash: new Uint8Array(32) }],
    ['another byte', [Buffer.from(TREE.toString('latin1').replace('hello', 'jello'), 'latin1')], TREE_FACTS],
    ['fewer bytes announced', [TREE], { ...TREE_FACTS, narSize: 1224 }],
    ['more bytes announced', [TREE], { ...TREE_FACTS, narSize: 1240 }],
    ['the end missing', [TREE.subarray(0, 1200)], TREE_FACTS],
    ['bytes after the end', [TREE, Buffer.alloc(8)], { ...TREE_FACTS, narSize: 1240 }],
    ['nothing', [], TREE_FACTS],
  ])('%s: refused before the last chunk is passed on', async (_, chunks, expected) => {
    const passed: Uint8Array[] = [];
    const pass = async (): Promise<void> => {
      for await (const chunk of verifyNar(chunks, expected)) passed.push(chunk);
    };
    await expect(pass()).rejects.toMatchObject({ code: 'NIX_BAD_NAR' });
    expect(Buffer.concat(passed).length).toBeLessThan(Math.max(1, Buffer.concat(chunks).length));
  });

  test('where the receiver compares the hash, size and syntax are still checked before the last chunk', async () => {
    expect(Buffer.concat(await collectBytes(verifyNarSyntax([TREE], TREE_FACTS)))).toEqual(TREE);
    for (const [chunks, narSize] of [
      [[TREE], 1240],
      [[TREE], 1224],
      [[TREE.subarray(0, 1200)], TREE_FACTS.narSize],
      [[TREE, Buffer.alloc(8)], TREE_FACTS.narSize + 8],
    ] as const) {
      const passed: Uint8Array[] = [];
      const pass = async (): Promise<void> => {
        for await (const chunk of verifyNarSyntax(chunks, { narSize })) passed.push(chunk);
      };
      await expect(pass()).rejects.toMatchObject({ code: 'NIX_BAD_NAR' });
      expect(Buffer.concat(passed).length).toBeLessThan(Buffer.concat(chunks).length);
    }
  });
});

describe('what Nix could not have made is refused', () => {
  const file = (contents = 'x') => wire('(', 'type', 'regular', 'contents', contents, ')');
  const entry = (name: string, node = file()) =>
    Buffer.concat([wire('entry', '(', 'name', name, 'node'), node, wire(')')]);
  const directory = (...entries: Buffer[]) =>
    Buffer.concat([wire('(', 'type', 'directory'), ...entries, wire(')')]);
  const nar = (node: Buffer) => Buffer.concat([wire('nix-archive-1'), node]);
  const parse = (bytes: Buffer): void => {
    const hasher = new NarHasher();
    hasher.push(bytes);
    hasher.finish();
  };
  const nested = (depth: number): Buffer => (depth === 0 ? file() : directory(entry('d', nested(depth - 1))));

  test('the same with good names is accepted', () => {
    parse(nar(directory(entry('B'), entry('a'), entry('ab'), entry('b'), entry('\u00fc'))));
    parse(nar(wire('(', 'type', 'symlink', 'target', '/anywhere', ')')));
    parse(nar(nested(MAX_NAR_DEPTH - 1)));
  });

  test.each<[string, Buffer]>([
    ['the name ..', directory(entry('..'))],
    ['the name .', directory(entry('.'))],
    ['no name', directory(entry(''))],
    ['a name with a slash', directory(entry('a/b'))],
    ['a name with a zero byte', directory(entry('a\0b'))],
    ['a name of 256 bytes', directory(entry('n'.repeat(256)))],
    ['a name twice', directory(entry('a'), entry('a'))],
    ['names out of order', directory(entry('b'), entry('a'))],
    ['an unknown type', wire('(', 'type', 'socket', ')')],
    ['a link to nowhere', wire('(', 'type', 'symlink', 'target', '', ')')],
    ['a link longer than a path', wire('(', 'type', 'symlink', 'target', 't'.repeat(4096), ')')],
    ['a text where none belongs', wire('(', 'type', 'regular', 'executable', 'yes', 'contents', '', ')')],
    ['contents twice', wire('(', 'type', 'regular', 'contents', 'a', 'contents', 'b', ')')],
    ['executable after contents', wire('(', 'type', 'regular', 'contents', 'a', 'executable', '', ')')],
    ['directories without end', nested(MAX_NAR_DEPTH)],
    ['a string longer than memory', Buffer.concat([wire('('), wire(2 ** 52)])],
    [
      'padding that is not zero',
      Buffer.from(file('abc').toString('latin1').replace('abc\0', 'abcd'), 'latin1'),
    ],
  ])('%s', (_, node) => {
    expect(() => parse(nar(node))).toThrow(expect.objectContaining({ code: 'NIX_BAD_NAR' }));
  });

  test('another magic', () => {
    expect(() => parse(Buffer.concat([wire('nix-archive-2'), file()]))).toThrow(
      expect.objectContaining({ code: 'NIX_BAD_NAR' }),
    );
  });

  test('any one byte changed in the structure never goes unnoticed by the hash', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(TREE.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(TREE);
        bytes[at]! ^= change;
        await expect(collect(verifyNar([bytes], TREE_FACTS))).rejects.toMatchObject({ code: 'NIX_BAD_NAR' });
      }),
    );
  });
});

async function collectBytes(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}
