import * as fs from 'node:fs';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { wire } from './daemon/testing/wire-bytes.ts';
import { NarLayout } from './nar-layout.ts';
import { NarParser } from './nar-parser.ts';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** A tree as the tests write it; names and targets are latin1, one character a byte. */
type Tree =
  | { readonly text: string; readonly executable?: boolean }
  | { readonly target: string }
  | { readonly children: Readonly<Record<string, Tree>> };

function place(): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-layout-'));
  directories.push(directory);
  return Buffer.from(join(directory, 'root'));
}

function make(tree: Tree, at: Buffer): void {
  if ('target' in tree) symlinkSync(Buffer.from(tree.target, 'latin1'), at);
  else if ('text' in tree) writeFileSync(at, tree.text, { mode: tree.executable === true ? 0o555 : 0o444 });
  else {
    mkdirSync(at);
    for (const [name, child] of Object.entries(tree.children)) {
      make(child, Buffer.concat([at, Buffer.from(`/${name}`, 'latin1')]));
    }
  }
}

/** The NAR of a tree, written independently of the code under test. */
function narOf(tree: Tree): Buffer {
  const text = (latin1: string): Buffer => {
    const bytes = Buffer.from(latin1, 'latin1');
    return Buffer.concat([wire(bytes.length), bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
  };
  const node = (of: Tree): Buffer[] => {
    if ('target' in of) return [wire('(', 'type', 'symlink', 'target'), text(of.target), wire(')')];
    if ('text' in of) {
      const executable = of.executable === true ? wire('executable', '') : Buffer.alloc(0);
      return [wire('(', 'type', 'regular'), executable, wire('contents', of.text, ')')];
    }
    const sorted = Object.entries(of.children).sort(([a], [b]) => (a < b ? -1 : 1));
    const entries = sorted.flatMap(([name, child]) => [
      wire('entry', '(', 'name'),
      text(name),
      wire('node'),
      ...node(child),
      wire(')'),
    ]);
    return [wire('(', 'type', 'directory'), ...entries, wire(')')];
  };
  return Buffer.concat([wire('nix-archive-1'), ...node(tree)]);
}

const layoutOf = (root: Buffer | string, options: { caseHack?: boolean; pause?: () => Promise<void> } = {}) =>
  NarLayout.of(root, { files: fs, pause: async () => undefined, ...options });

/** A range put together from its parts. */
function read(layout: NarLayout, offset: number, bytes: number): Buffer {
  const parts = [...layout.parts(offset, bytes)].map((part) => {
    if (part.type === 'bytes') return part.bytes;
    const contents = fs.readFileSync(part.path);
    expect(contents.length).toBe(part.fileBytes);
    return contents.subarray(part.offset, part.offset + part.bytes);
  });
  return Buffer.concat(parts);
}

const whole = (layout: NarLayout) => read(layout, 0, layout.narBytes);

const name = fc
  .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 12 })
  .map((bytes) => String.fromCharCode(...bytes.map((byte) => (byte === 47 ? 48 : byte))))
  .filter((text) => text !== '.' && text !== '..');
const tree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.record({ text: fc.string({ unit: 'grapheme-ascii', maxLength: 40 }), executable: fc.boolean() }),
    fc.record({ target: name }),
    fc.record({ children: fc.dictionary(name, tie('tree'), { maxKeys: 4, noNullPrototype: true }) }),
  ),
})).tree;

describe('the layout of a path', () => {
  test('gives its NAR, and any range of it, byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(tree, fc.nat(), fc.nat(), async (of, a, b) => {
        const root = place();
        make(of, root);
        const layout = await layoutOf(root);
        const nar = narOf(of);
        expect(whole(layout).equals(nar)).toBe(true);
        const [from, to] = [a % (nar.length + 1), b % (nar.length + 1)].sort((x, y) => x - y);
        expect(read(layout, from!, to! - from!).equals(nar.subarray(from, to))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('is cut anywhere: the parts of a partition are the whole', async () => {
    const root = place();
    const of: Tree = {
      children: {
        bin: { children: { tool: { text: '#!/bin/sh\n', executable: true } } },
        empty: { children: {} },
        'n\xff\x80': { text: 'odd bytes in a name' },
        lib: { children: { a: { children: { b: { target: '../../bin/tool' } } } } },
        zero: { text: '' },
      },
    };
    make(of, root);
    const layout = await layoutOf(root);
    const nar = narOf(of);
    for (const step of [1, 7, 8, 64, 1000]) {
      const parts: Buffer[] = [];
      for (let at = 0; at < nar.length; at += step) {
        parts.push(read(layout, at, Math.min(step, nar.length - at)));
      }
      expect(Buffer.concat(parts).equals(nar)).toBe(true);
    }
    const parser = new NarParser();
    expect(parser.push(whole(layout))).toBe(layout.narBytes);
    expect(parser.done).toBe(true);
  });

  test('of a single file, and of a link', async () => {
    for (const of of [{ text: 'hello' }, { target: '/anywhere' }] as const) {
      const root = place();
      make(of, root);
      expect(whole(await layoutOf(root)).equals(narOf(of))).toBe(true);
    }
  });

  test('has the names of a file system that does not tell cases apart as Nix first had them', async () => {
    const root = place();
    const suffix = '~nix~case~hack~1';
    make({ children: { Abc: { text: '1' }, [`abc${suffix}`]: { text: '2' } } }, root);
    const hacked = await layoutOf(root, { caseHack: true });
    expect(whole(hacked).equals(narOf({ children: { Abc: { text: '1' }, abc: { text: '2' } } }))).toBe(true);
    const plain = await layoutOf(root);
    const asIs = narOf({ children: { Abc: { text: '1' }, [`abc${suffix}`]: { text: '2' } } });
    expect(whole(plain).equals(asIs)).toBe(true);
  });

  test('is refused for what no NAR can have', async () => {
    await expect(layoutOf('/dev/null')).rejects.toMatchObject({ code: 'NIX_BAD_NAR' });
    let deep: Tree = { text: '' };
    for (let depth = 0; depth < 64; depth += 1) deep = { children: { d: deep } };
    const root = place();
    make(deep, root);
    await expect(layoutOf(root)).rejects.toMatchObject({ code: 'NIX_BAD_NAR' });
  });

  test('has no bytes before its start or after its end', async () => {
    const root = place();
    make({ text: 'x' }, root);
    const layout = await layoutOf(root);
    expect(() => [...layout.parts(-1, 2)]).toThrow(RangeError);
    expect(() => [...layout.parts(layout.narBytes, 1)]).toThrow(RangeError);
    expect([...layout.parts(layout.narBytes, 0)]).toEqual([]);
  });

  test('of 20,000 files takes some 50 bytes each, and lets others run meanwhile', async () => {
    const stats = (directory: boolean) =>
      ({
        mode: 0o100444,
        size: 5,
        isFile: () => !directory,
        isDirectory: () => directory,
        isSymbolicLink: () => false,
      }) as const;
    const names = Array.from({ length: 20_000 }, (_, index) => Buffer.from(`file-${index}`));
    let pauses = 0;
    const layout = await NarLayout.of('/root', {
      files: {
        lstatSync: (path) => stats(path.equals(Buffer.from('/root'))),
        readdirSync: () => names,
        readlinkSync: () => Buffer.alloc(0),
      },
      pause: async () => {
        pauses += 1;
      },
    });
    expect(layout.heldBytes / 20_000).toBeLessThan(56);
    expect(pauses).toBeGreaterThan(50);
  });

  test('is given up when it is no longer wanted', async () => {
    const root = place();
    make({ children: { a: { text: '' } } }, root);
    const signal = AbortSignal.abort(new Error('enough'));
    const given = NarLayout.of(root, { files: fs, pause: async () => undefined, signal });
    await expect(given).rejects.toThrow('enough');
  });
});
