import fc from 'fast-check';
import { wire } from '../daemon/testing/wire-bytes.ts';

/** A file system object, names as bytes in latin1. */
export type Tree =
  | { readonly type: 'regular'; readonly contents: string; readonly executable: boolean }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'directory'; readonly entries: readonly (readonly [name: string, tree: Tree])[] };

/** Any bytes as latin1 text. */
const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array).toString('latin1'));

const name = fc
  .oneof(fc.constantFrom('bin', 'lib', 'a', 'b', '...', '.x', 'A'), bytes(1, 20))
  .filter((text) => text !== '.' && text !== '..' && !/[/\0]/.test(text));

/** Trees that Nix can make. */
export const arbitraryTree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.record({ type: fc.constant('regular' as const), contents: bytes(0, 40), executable: fc.boolean() }),
    fc.record({
      type: fc.constant('symlink' as const),
      target: bytes(1, 30).filter((text) => !text.includes('\0')),
    }),
    fc.record({
      type: fc.constant('directory' as const),
      entries: fc
        .uniqueArray(fc.tuple(name, tie('tree')), { maxLength: 4, selector: ([entry]) => entry })
        .map((entries) => entries.toSorted(([a], [b]) => (a < b ? -1 : 1))),
    }),
  ),
})).tree;

/** The archive of a tree, entries in the order given: written without the code under test. */
export function narOfTree(tree: Tree): Buffer {
  return Buffer.concat([latin1('nix-archive-1'), nodeOf(tree)]);
}

function nodeOf(tree: Tree): Buffer {
  switch (tree.type) {
    case 'regular': {
      const executable = tree.executable ? ['executable', ''] : [];
      return latin1('(', 'type', 'regular', ...executable, 'contents', tree.contents, ')');
    }
    case 'symlink':
      return latin1('(', 'type', 'symlink', 'target', tree.target, ')');
    case 'directory':
      return Buffer.concat([
        latin1('(', 'type', 'directory'),
        ...tree.entries.flatMap(([entry, child]) => [
          latin1('entry', '(', 'name', entry, 'node'),
          nodeOf(child),
          latin1(')'),
        ]),
        latin1(')'),
      ]);
  }
}

function latin1(...texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.map((text) => {
      const body = Buffer.from(text, 'latin1');
      return Buffer.concat([wire(body.length), body, Buffer.alloc((8 - (body.length % 8)) % 8)]);
    }),
  );
}
