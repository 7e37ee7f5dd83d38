import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesOfText } from './byte-text.ts';
import { wire } from './daemon/testing/wire-bytes.ts';
import { NixError } from './errors.ts';
import { readNar, verifyNar } from './nar.ts';
import { arbitraryTree, narOfTree, type Tree } from './testing/arbitrary-nar.ts';
import { arbitraryCuts, arbitraryMutations, mutated, pieces } from './testing/mutations.ts';

/** The tree in an archive, however its bytes come; undefined where it is refused. */
async function treeIn(chunks: readonly Uint8Array[]): Promise<Tree | undefined> {
  type Open = { type: 'directory'; entries: [string, Tree][] };
  const directories = new Map<string, Open>();
  let root: Tree | undefined;
  let file: { contents: string } | undefined;
  const put = (path: string, tree: Tree): void => {
    const bytes = bytesOfText(path).toString('latin1');
    const slash = bytes.lastIndexOf('/');
    if (path === '') root = tree;
    else directories.get(bytes.slice(0, Math.max(slash, 0)))!.entries.push([bytes.slice(slash + 1), tree]);
    if (tree.type === 'directory') directories.set(bytes, tree as Open);
  };
  try {
    for await (const event of readNar(chunks)) {
      if (event.type === 'contents') file!.contents += Buffer.from(event.bytes).toString('latin1');
      else if (event.type === 'directory') put(event.path, { type: 'directory', entries: [] });
      else if (event.type === 'symlink') {
        put(event.path, { type: 'symlink', target: bytesOfText(event.target).toString('latin1') });
      } else {
        const regular = { type: 'regular' as const, contents: '', executable: event.executable };
        file = regular;
        put(event.path, regular);
      }
    }
    return root;
  } catch (error) {
    expect(error).toBeInstanceOf(NixError);
    expect(error).toMatchObject({ code: 'NIX_BAD_NAR' });
    return undefined;
  }
}

const factsOf = (nar: Uint8Array) => ({
  narHash: createHash('sha256').update(nar).digest(),
  narSize: nar.length,
});

test('every tree comes out of its archive as it went in, however the archive is cut', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryTree, arbitraryCuts, async (tree, cuts) => {
      const nar = narOfTree(tree);
      expect(await treeIn(pieces(nar, cuts))).toEqual(tree);
      const passed: Uint8Array[] = [];
      for await (const chunk of verifyNar(pieces(nar, cuts), factsOf(nar))) passed.push(chunk);
      expect(Buffer.concat(passed).equals(nar)).toBe(true);
    }),
    { numRuns: 400 },
  );
});

test('a changed archive is refused, or is exactly the archive of what was read from it', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryTree, arbitraryMutations, arbitraryCuts, async (tree, mutations, cuts) => {
      const nar = mutated(narOfTree(tree), mutations);
      const found = await treeIn(pieces(nar, cuts));
      if (found !== undefined) expect(narOfTree(found).equals(nar)).toBe(true);
      // Where it is cut makes no difference.
      expect(await treeIn([nar])).toEqual(found);
    }),
    { numRuns: 2_000 },
  );
});

test('any bytes are refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      expect(await treeIn([bytes])).toBeUndefined();
      expect(await treeIn([wire('nix-archive-1', '('), bytes])).toBeUndefined();
    }),
    { numRuns: 1_000 },
  );
});

describe('an archive without end', () => {
  const START = narOfTree({ type: 'directory', entries: [] }).subarray(0, -16);
  /** As much as a machine could never hold, in chunks of a mebibyte. */
  const CHUNKS = 1024;

  test.each([
    [
      'of one file',
      wire('nix-archive-1', '(', 'type', 'regular', 'contents', 2 ** 52),
      Buffer.alloc(1 << 20),
    ],
    ['of nothing but a start', START, Buffer.alloc(0)],
  ])('%s is refused as soon as it is longer than announced', async (_, start, more) => {
    let given = 0;
    const endless = function* (): Generator<Uint8Array> {
      yield start;
      for (; given < CHUNKS; given += 1) yield more;
    };
    const read = async (): Promise<void> => {
      for await (const chunk of verifyNar(endless(), { narHash: new Uint8Array(32), narSize: 4 << 20 })) {
        expect(chunk.length).toBeGreaterThan(0);
      }
    };
    await expect(read()).rejects.toMatchObject({ code: 'NIX_BAD_NAR' });
    if (more.length > 0) expect(given).toBeLessThan(5);
  });
});

interface HostileNar {
  readonly name: string;
  readonly latin1: string;
}
const CASES = JSON.parse(
  readFileSync(new URL('../fixtures/hostile-nars.json', import.meta.url), 'utf8'),
) as HostileNar[];

test.each(CASES)('refused: $name', async ({ latin1 }) => {
  const nar = Buffer.from(latin1, 'latin1');
  expect(await treeIn([nar])).toBeUndefined();
  expect(await treeIn([...nar].map((byte) => Uint8Array.of(byte)))).toBeUndefined();
});
