import { generateIdentity, publicKeyOfPeerId } from '@mesh/net';
import { fingerprintOf, type PathDescription, signingKeyFromSeed } from '@mesh/nix';
import { expect, test } from 'vitest';
import { missingPart } from './closure-plan.ts';
import { signingKeyName, type Vouchers } from './path-info-verification.ts';

import { MemoryStore, storePathOf } from './test-support/memory-store.ts';

const member = generateIdentity();
const stranger = generateIdentity();
const peer = { peerId: member.peerId, name: 'alpha' };
const vouchers: Vouchers = {
  memberKey: (peerId) => (peerId === member.peerId ? publicKeyOfPeerId(peerId) : undefined),
  nixKeys: () => [],
};

function signedBy({ peerId, seed }: typeof member, info: Partial<PathDescription> & { path: string }) {
  const whole = { narHash: Buffer.alloc(32, 1), narSize: 120, references: [], signatures: [], ...info };
  const signature = signingKeyFromSeed(signingKeyName(peerId), seed).sign(fingerprintOf(whole));
  return { ...whole, signatures: [signature, ...whole.signatures] };
}

const plan = (roots: string[], infos: PathDescription[], here = new MemoryStore()) =>
  missingPart({ peer, roots, pages: [{ infos }] }, here, vouchers);

const lib = storePathOf('lib');
const app = storePathOf('app');

test('infos are put in order, whatever order they were told in', async () => {
  const infos = [signedBy(member, { path: app, references: [lib, app] }), signedBy(member, { path: lib })];
  const items = await plan([app], infos);
  expect(items.map(({ info }) => info.path)).toEqual([lib, app]);
});

test('an info without a member’s signature is refused: unsigned, a stranger’s, or changed after signing', async () => {
  const unsigned = { ...signedBy(member, { path: lib }), signatures: [] };
  const strangers = signedBy(stranger, { path: lib });
  const changed = { ...signedBy(member, { path: lib }), narSize: 121 };
  // The stranger's signature under the member's name.
  const forged = {
    ...strangers,
    signatures: strangers.signatures.map((s) => s.replace(stranger.peerId, member.peerId)),
  };
  for (const info of [unsigned, strangers, changed, forged]) {
    await expect(plan([lib], [info])).rejects.toMatchObject({
      code: 'TRANSFER_BAD_SIGNATURE',
      peerId: member.peerId,
      path: lib,
      message: `alpha described ${lib} without a valid signature of a member that may build; it is not asked for this path again.`,
    });
  }
});

test('a signature of one path is worth nothing for another', async () => {
  const info = { ...signedBy(member, { path: lib }), path: app };
  await expect(plan([app], [info])).rejects.toMatchObject({ code: 'TRANSFER_BAD_SIGNATURE', path: app });
});

test('paths that nobody asked for are ignored', async () => {
  const items = await plan([lib], [signedBy(member, { path: lib }), signedBy(stranger, { path: app })]);
  expect(items.map(({ info }) => info.path)).toEqual([lib]);
});

test('a reference that is neither described nor here is refused; one that is here is fine', async () => {
  const here = new MemoryStore();
  const [info] = [signedBy(member, { path: app, references: [here.add('lib')] })];
  await expect(plan([app], [info])).rejects.toMatchObject({ code: 'TRANSFER_BAD_PATH_INFO', path: app });
  expect(await plan([app], [info], here)).toHaveLength(1);
});

test('a circle of references is refused', async () => {
  const infos = [
    signedBy(member, { path: app, references: [lib] }),
    signedBy(member, { path: lib, references: [app] }),
  ];
  await expect(plan([app], infos)).rejects.toMatchObject({ code: 'TRANSFER_BAD_PATH_INFO' });
});

test('of signatures the verified one and foreign ones are kept, other members’ are not', async () => {
  const told = signedBy(member, { path: lib, signatures: ['cache.example.org-1:abcd', 'mesh-gone:abcd'] });
  const [item] = await plan([lib], [told]);
  expect(item?.info.signatures).toEqual([told.signatures[0], 'cache.example.org-1:abcd']);
});
