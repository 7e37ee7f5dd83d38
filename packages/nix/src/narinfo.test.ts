import { expect, test } from 'vitest';
import { MAX_NARINFO_BYTES, parseNarInfo, printNarInfo } from './narinfo.ts';
import { parseSha256 } from './path-info.ts';

// Written by Nix 2.34.8, `nix copy --to file:///…`.
const WRITTEN = `StorePath: /nix/store/bd29bggd1xg6yg5xs8fv19isxfzkwdsc-multi
URL: nar/0f39h5r6difhqci9qgvv066lz8vnzg15fdgmwjj15jj5p4r1z7xn.nar.xz
Compression: xz
FileHash: sha256:0f39h5r6difhqci9qgvv066lz8vnzg15fdgmwjj15jj5p4r1z7xn
FileSize: 228
NarHash: sha256:1kd842jm1zf5cfc4p81267pr9gn4an95vxi4plnppsg9f0g6ykv6
NarSize: 520
References: 4iz6nn3akmsm5z92pxfvbnhr8izz5v88-a
Deriver: 6p1m4fg8s8gsa5gpqh00lnmvqmxxljrn-multi.drv
Sig: test-1:KVSI80yHVoir59I+VsiSV1oh6tb06NWjpr+1ic9p0skdWF5YMWKRW+mPTdh4GT46agih3wHxzoO1d/Bm3vpRCg==
`;

test('a narinfo written by Nix is read and printed as it was', () => {
  const info = parseNarInfo(WRITTEN);
  expect(info).toEqual({
    path: '/nix/store/bd29bggd1xg6yg5xs8fv19isxfzkwdsc-multi',
    url: 'nar/0f39h5r6difhqci9qgvv066lz8vnzg15fdgmwjj15jj5p4r1z7xn.nar.xz',
    compression: 'xz',
    fileHash: parseSha256('0f39h5r6difhqci9qgvv066lz8vnzg15fdgmwjj15jj5p4r1z7xn'),
    fileSize: 228,
    narHash: parseSha256('1kd842jm1zf5cfc4p81267pr9gn4an95vxi4plnppsg9f0g6ykv6'),
    narSize: 520,
    references: ['/nix/store/4iz6nn3akmsm5z92pxfvbnhr8izz5v88-a'],
    deriver: '/nix/store/6p1m4fg8s8gsa5gpqh00lnmvqmxxljrn-multi.drv',
    signatures: [
      'test-1:KVSI80yHVoir59I+VsiSV1oh6tb06NWjpr+1ic9p0skdWF5YMWKRW+mPTdh4GT46agih3wHxzoO1d/Bm3vpRCg==',
    ],
  });
  expect(printNarInfo(info)).toBe(WRITTEN);
});

test('a path without references has an empty line of them', () => {
  const text = WRITTEN.replace(/References: .*/, 'References: ').replace(/Sig: .*\n/, '');
  expect(parseNarInfo(text)).toMatchObject({ references: [], signatures: [] });
  expect(printNarInfo(parseNarInfo(text))).toBe(text);
});

test('what a cache leaves out has Nix’s defaults, what is unknown is ignored', () => {
  const text = WRITTEN.replace(/Compression: .*\n/, '').replace(
    /Deriver: .*/,
    'Deriver: unknown-deriver\nNew: x',
  );
  const info = parseNarInfo(text);
  expect(info.compression).toBe('bzip2');
  expect(info.deriver).toBeUndefined();
});

test.each([
  ['no path', /StorePath: .*\n/, ''],
  ['no hash', /NarHash: .*\n/, ''],
  ['no URL', /URL: .*\n/, ''],
  ['a path outside the store', /StorePath: .*/, 'StorePath: /etc/passwd'],
  ['a short hash', /NarHash: .*/, 'NarHash: sha256:0000'],
  ['another hash algorithm', /NarHash: .*/, 'NarHash: sha1:0000'],
  ['a negative size', /NarSize: .*/, 'NarSize: -1'],
  ['a size beyond 2^53', /NarSize: .*/, 'NarSize: 9999999999999999'],
  ['a reference that leaves the store', /References: .*/, 'References: ../../etc'],
  ['a field twice', /NarSize: .*/, 'NarSize: 520\nNarSize: 521'],
  ['a line that is no field', /NarSize: .*/, 'NarSize: 520\n<html>'],
])('a narinfo with %s is refused', (_, field, instead) => {
  expect(() => parseNarInfo(WRITTEN.replace(field, instead))).toThrow(
    expect.objectContaining({ code: 'NIX_BAD_NARINFO' }),
  );
});

test('a narinfo larger than any real one is refused', () => {
  expect(() => parseNarInfo(WRITTEN + 'X: y\n'.repeat(MAX_NARINFO_BYTES / 4))).toThrow(
    expect.objectContaining({ code: 'NIX_BAD_NARINFO' }),
  );
});

test('no field can smuggle in a second line', () => {
  expect(() => printNarInfo({ ...parseNarInfo(WRITTEN), url: 'x\nSig: y' })).toThrow(
    expect.objectContaining({ code: 'NIX_BAD_NARINFO' }),
  );
});

test('a hash is the same in every form Nix writes', () => {
  const hex = '4847ff659ecd24d5f8d4a8f3b95be120d47dff87bf9d3bff1540f56d182df120';
  for (const text of [
    hex,
    `sha256:${hex}`,
    'sha256:087i5lc6vxa02pzkp7dzhzzpvm10w5dvkwx8skwda96dkrjzyis8',
    'sha256-SEf/ZZ7NJNX41KjzuVvhINR9/4e/nTv/FUD1bRgt8SA=',
  ]) {
    expect(Buffer.from(parseSha256(text)).toString('hex')).toBe(hex);
  }
});
