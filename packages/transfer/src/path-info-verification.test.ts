import { createHash } from 'node:crypto';
import { generateIdentity, type Role } from '@mesh/net';
import { encodeBase32, fingerprintOf, type PathDescription, signingKeyFromSeed } from '@mesh/nix';
import { describe, expect, test } from 'vitest';
import {
  agentVouchers,
  signingKeyName,
  verifiedByPage,
  verifyPathInfo,
  vouchingFor,
} from './path-info-verification.ts';
import { storePathOf } from './test-support/memory-store.ts';
import { vouchForPage } from './vouched-page.ts';

const self = generateIdentity();
const builder = generateIdentity();
const submitter = generateIdentity();
const removed = generateIdentity();
const cacheKey = signingKeyFromSeed('cache.example-1', Buffer.alloc(32, 7));
const otherCacheKey = signingKeyFromSeed('cache.example-1', Buffer.alloc(32, 8));

const roles = new Map<string, readonly Role[]>([
  [self.peerId, ['submit']],
  [builder.peerId, ['build', 'submit']],
  [submitter.peerId, ['submit', 'admin']],
]);
const vouchers = agentVouchers(
  self.peerId,
  { isMember: (peerId) => roles.has(peerId), rolesOf: (peerId) => [...(roles.get(peerId) ?? [])] },
  [cacheKey.publicKey, 'no key at all'],
);
const sender = { peerId: submitter.peerId, name: 'alpha' };

const plain: PathDescription = {
  path: storePathOf('app'),
  narHash: Buffer.alloc(32, 1),
  narSize: 120,
  references: [storePathOf('lib')],
  signatures: [],
};
const signatureOf = ({ peerId, seed }: typeof self, info = plain) =>
  signingKeyFromSeed(signingKeyName(peerId), seed).sign(fingerprintOf(info));
const signed = (...signatures: string[]): PathDescription => ({ ...plain, signatures });

/** A source tree whose path is the address of its contents (the formula of Nix's manual). */
function source(): PathDescription {
  const digest = createHash('sha256').update('contents').digest();
  const whole = `source:sha256:${digest.toString('hex')}:/nix/store:tree`;
  const folded = new Uint8Array(20);
  for (const [at, byte] of createHash('sha256').update(whole).digest().entries()) folded[at % 20]! ^= byte;
  return {
    ...plain,
    path: `/nix/store/${encodeBase32(folded)}-tree`,
    references: [],
    ca: `fixed:r:sha256:${encodeBase32(digest)}`,
  };
}

describe('a description counts', () => {
  test('with the signature of a member that may build, whoever sent it', () => {
    expect(vouchingFor(signed(signatureOf(builder)), vouchers)).toMatchObject({ by: 'member' });
  });

  test('with the signature of this machine, whatever its roles are', () => {
    expect(vouchingFor(signed(signatureOf(self)), vouchers)).toMatchObject({ by: 'member' });
  });

  test('with a signature that this machine’s Nix trusts', () => {
    const info = signed(signatureOf(submitter), cacheKey.sign(fingerprintOf(plain)));
    expect(vouchingFor(info, vouchers)).toEqual({ by: 'nix' });
  });

  test('where the path is the address of its contents', () => {
    expect(vouchingFor(source(), vouchers)).toEqual({ by: 'content' });
    expect(vouchingFor({ ...source(), ca: plain.ca ?? 'fixed:r:sha256:0' }, vouchers)).toBeUndefined();
    expect(vouchingFor({ ...source(), references: plain.references }, vouchers)).toBeUndefined();
  });
});

test.each([
  ['nobody’s signature', signed()],
  ['that of a member which may only submit', signed(signatureOf(submitter))],
  ['that of a removed member', signed(signatureOf(removed))],
  [
    'that of a builder under the name of another',
    signed(signatureOf(submitter).replace(submitter.peerId, builder.peerId)),
  ],
  ['that of another key with a trusted name', signed(otherCacheKey.sign(fingerprintOf(plain)))],
  ['a trusted signature of something else', signed(cacheKey.sign(fingerprintOf({ ...plain, narSize: 121 })))],
])('%s is not enough', (_, info) => {
  expect(() => verifyPathInfo(info, sender, vouchers)).toThrow(
    expect.objectContaining({ code: 'TRANSFER_BAD_SIGNATURE', peerId: submitter.peerId, path: plain.path }),
  );
});

test('foreign signatures are kept as they are, and of the members’ the one that was verified', () => {
  const foreign = ['cache.example-1:whatever', 'other:aGVsbG8='];
  const kept = verifyPathInfo(
    signed(signatureOf(submitter), foreign[0]!, signatureOf(builder), foreign[1]!),
    sender,
    vouchers,
  );
  expect(kept.signatures).toEqual([signatureOf(builder), ...foreign]);
});

describe('a page of descriptions counts as a whole', () => {
  const from = { peerId: builder.peerId, name: 'beta' };
  const keyOf = ({ peerId, seed }: typeof self) => signingKeyFromSeed(signingKeyName(peerId), seed);
  const other = { ...plain, path: storePathOf('lib'), references: [] };
  const infos = [
    signed(signatureOf(builder), cacheKey.sign(fingerprintOf(plain)), signatureOf(removed)),
    other,
  ];
  const vouch = vouchForPage(infos, keyOf(builder));

  test('where the one who sent it vouched for it: of each, its own signature and foreign ones are kept', () => {
    const verified = verifiedByPage({ infos, vouch }, from, vouchers);
    expect(infos.map((info) => verified.get(info)?.signatures)).toEqual([
      infos[0]!.signatures.slice(0, 2),
      [],
    ]);
  });

  test.each([
    ['nobody vouched', { infos }, from],
    ['one was changed', { infos: [{ ...infos[0]!, narSize: 121 }, other], vouch }, from],
    ['one was left out', { infos: infos.slice(1), vouch }, from],
    ['they stand in another order', { infos: infos.toReversed(), vouch }, from],
    ['somebody else vouched', { infos, vouch: vouchForPage(infos, keyOf(removed)) }, from],
    ['the sender may not build', { infos, vouch: vouchForPage(infos, keyOf(submitter)) }, sender],
    ['what is signed is one path', { infos: [plain], vouch: signatureOf(builder) }, from],
  ])('and not where %s', (_, page, peer) => {
    expect(verifiedByPage(page, peer, vouchers).size).toBe(0);
  });
});
