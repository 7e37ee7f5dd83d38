import { expect, test } from 'vitest';
import { basenameOf, isDerivationPath, isStorePath, parseStorePath, storePathOf } from './store-path.ts';

const HASH = 'g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q';

test('a store path has a hash part and a name', () => {
  expect(parseStorePath(`/nix/store/${HASH}-hello-2.12.1`)).toEqual({ hashPart: HASH, name: 'hello-2.12.1' });
});

test('a path is the store directory and its base name', () => {
  expect(basenameOf(`/nix/store/${HASH}-foo`)).toBe(`${HASH}-foo`);
  expect(storePathOf(`${HASH}-foo`)).toBe(`/nix/store/${HASH}-foo`);
});

test('names may have 211 characters and begin with a dot', () => {
  expect(isStorePath(`/nix/store/${HASH}-${'x'.repeat(211)}`)).toBe(true);
  expect(isStorePath(`/nix/store/${HASH}-.config`)).toBe(true);
  expect(isStorePath(`/nix/store/${HASH}-a+b-c.d_e?f=G9`)).toBe(true);
});

test.each([
  ['a name of 212 characters', `/nix/store/${HASH}-${'x'.repeat(212)}`],
  ['no name', `/nix/store/${HASH}-`],
  ['no dash', `/nix/store/${HASH}`],
  ['a short hash', `/nix/store/${HASH.slice(1)}-foo`],
  ['a hash with a letter outside base 32', `/nix/store/e${HASH.slice(1)}-foo`],
  ['a file inside a store path', `/nix/store/${HASH}-foo/bin`],
  ['a way out of the store', `/nix/store/${HASH}-foo/../../etc`],
  ['the name .', `/nix/store/${HASH}-.`],
  ['the name ..', `/nix/store/${HASH}-..`],
  ['a name that begins with ..-', `/nix/store/${HASH}-..-x`],
  ['another store', `/gnu/store/${HASH}-foo`],
  ['a line break at the end', `/nix/store/${HASH}-foo\n`],
  ['nothing', ''],
])('%s is refused', (_, path) => {
  expect(isStorePath(path)).toBe(false);
  expect(() => parseStorePath(path)).toThrow(expect.objectContaining({ code: 'NIX_BAD_STORE_PATH' }));
});

test('derivations end in .drv', () => {
  expect(isDerivationPath(`/nix/store/${HASH}-foo.drv`)).toBe(true);
  expect(isDerivationPath(`/nix/store/${HASH}-foo`)).toBe(false);
});
