import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSha256 } from './path-info.ts';
import {
  fingerprintOf,
  parsePublicKey,
  parseSecretKey,
  printSecretKey,
  signerOf,
  signingKeyFromSeed,
  verifySignature,
} from './signature.ts';

// Made with Nix 2.34.8: `nix key generate-secret --key-name test-1`, then `nix store sign` of two paths.
const SECRET =
  'test-1:9R5IOF08R6Vn90MeBpLk6G8gFUbRDepoblutNJHyz98JWqtnJqrEYylCxtO8vihx8Ek4IFd2HxXP6qWtaSrkmQ==';
const PUBLIC = 'test-1:CVqrZyaqxGMpQsbTvL4ocfBJOCBXdh8Vz+qlrWkq5Jk=';
const SIGNED = [
  {
    info: {
      path: '/nix/store/pwffxzsm6q6pmhadl4l49kkvqn3wr6y4-tree',
      narHash: parseSha256('sha256:087i5lc6vxa02pzkp7dzhzzpvm10w5dvkwx8skwda96dkrjzyis8'),
      narSize: 1232,
      references: [],
    },
    signature:
      'test-1:VnChyshJJHCDziNN9TByJ8eH0CwW6kFR8NJOg+XzuCIuSL/z+knGdr7++HhsgTsC25IKyqELwPGoXHwwk1CYCQ==',
  },
  {
    info: {
      path: '/nix/store/bd29bggd1xg6yg5xs8fv19isxfzkwdsc-multi',
      narHash: parseSha256('sha256:1kd842jm1zf5cfc4p81267pr9gn4an95vxi4plnppsg9f0g6ykv6'),
      narSize: 520,
      references: ['/nix/store/4iz6nn3akmsm5z92pxfvbnhr8izz5v88-a'],
    },
    signature:
      'test-1:KVSI80yHVoir59I+VsiSV1oh6tb06NWjpr+1ic9p0skdWF5YMWKRW+mPTdh4GT46agih3wHxzoO1d/Bm3vpRCg==',
  },
];

test.each(SIGNED)('a signature made by Nix is made and accepted here: $info.path', ({ info, signature }) => {
  const { name, seed } = parseSecretKey(SECRET);
  expect(signingKeyFromSeed(name, seed).sign(fingerprintOf(info))).toBe(signature);
  expect(verifySignature(fingerprintOf(info), signature, parsePublicKey(PUBLIC).key)).toBe(true);
});

test('any change to what is signed makes the signature invalid', () => {
  const { info, signature } = SIGNED[1]!;
  const { key } = parsePublicKey(PUBLIC);
  const changed = [
    { ...info, path: info.path.replace('multi', 'multo') },
    { ...info, narSize: info.narSize + 1 },
    { ...info, references: [] },
    { ...info, narHash: SIGNED[0]!.info.narHash },
  ];
  for (const other of changed) expect(verifySignature(fingerprintOf(other), signature, key)).toBe(false);
  expect(verifySignature(fingerprintOf(info), signature, new Uint8Array(32))).toBe(false);
});

test('the fingerprint does not depend on the order of references', () => {
  const { info } = SIGNED[1]!;
  const references = ['/nix/store/b', '/nix/store/a'];
  expect(fingerprintOf({ ...info, references })).toBe(
    fingerprintOf({ ...info, references: references.toReversed() }),
  );
});

test('keys print as Nix prints them', () => {
  const { name, seed } = parseSecretKey(SECRET);
  expect(printSecretKey(name, seed)).toBe(SECRET);
  expect(signingKeyFromSeed(name, seed).publicKey).toBe(PUBLIC);
  expect(signerOf(SIGNED[0]!.signature)).toBe('test-1');
});

test('text that is no signature is no valid signature', () => {
  const { key } = parsePublicKey(PUBLIC);
  fc.assert(fc.property(fc.string(), (text) => !verifySignature('x', text, key)));
});

test.each([
  ['no name', PUBLIC.slice(PUBLIC.indexOf(':'))],
  ['no base 64', 'k:***'],
  ['too few bytes', 'k:AAAA'],
  ['nothing', ''],
])('a public key with %s is refused', (_, text) => {
  expect(() => parsePublicKey(text)).toThrow(expect.objectContaining({ code: 'NIX_BAD_KEY' }));
});

test('a secret key with the public half of another is refused', () => {
  const { seed } = parseSecretKey(SECRET);
  const forged = `k:${Buffer.concat([seed, Buffer.alloc(32, 1)]).toString('base64')}`;
  expect(() => parseSecretKey(forged)).toThrow(expect.objectContaining({ code: 'NIX_BAD_KEY' }));
});
