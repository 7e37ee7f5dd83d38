import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  generateIdentity,
  identityFromSeed,
  loadOrCreateIdentity,
  peerIdOfPublicKey,
  publicKeyOfPeerId,
  verifyWith,
} from './identity.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mesh-identity-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('an identity', () => {
  it('is made once and kept, readable by its owner only', async () => {
    const stateDir = join(directory, 'new', 'state');
    const first = await loadOrCreateIdentity(stateDir);
    const second = await loadOrCreateIdentity(stateDir);
    expect(second.peerId).toBe(first.peerId);
    expect((await stat(join(stateDir, 'identity.json'))).mode & 0o777).toBe(0o600);
  });

  it('refuses a key file others can read', async () => {
    await loadOrCreateIdentity(directory);
    await chmod(join(directory, 'identity.json'), 0o644);
    await expect(loadOrCreateIdentity(directory)).rejects.toMatchObject({
      code: 'NET_IDENTITY_UNREADABLE',
      message: expect.stringContaining('chmod 600'),
    });
  });

  it.each(['', '{', '{"version":2}', '{"version":1,"type":"ed25519","seed":"00"}'])(
    'refuses the garbled key file %j and leaves it alone',
    async (content) => {
      const path = join(directory, 'identity.json');
      await writeFile(path, content, { mode: 0o600 });
      await expect(loadOrCreateIdentity(directory)).rejects.toMatchObject({
        code: 'NET_IDENTITY_UNREADABLE',
      });
      expect(await readFile(path, 'utf8')).toBe(content);
    },
  );

  it('is a key pair of RFC 8032 (§7.1, test 1)', () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
    const identity = identityFromSeed(seed);
    expect(Buffer.from(identity.publicKey).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    );
    expect(Buffer.from(identity.sign(new Uint8Array(0))).toString('hex')).toMatch(
      /^e5564300c360ac729086e2cc806e828a/,
    );
  });

  it('has a peer id that holds its public key', () => {
    const { peerId, publicKey } = generateIdentity();
    expect(peerId).toMatch(/^12D3KooW/);
    expect(publicKeyOfPeerId(peerId)).toEqual(publicKey);
    expect(peerIdOfPublicKey(publicKey)).toBe(peerId);
  });

  it('signs what only its own peer id verifies', () => {
    const [ann, bob] = [generateIdentity(), generateIdentity()];
    const bytes = Uint8Array.of(1, 2, 3);
    const signature = ann.sign(bytes);
    expect(verifyWith(ann.peerId, bytes, signature)).toBe(true);
    expect(verifyWith(bob.peerId, bytes, signature)).toBe(false);
    expect(verifyWith(ann.peerId, Uint8Array.of(1, 2, 4), signature)).toBe(false);
    expect(verifyWith('12D3KooWnonsense', bytes, signature)).toBe(false);
  });

  it('refuses what is no ed25519 peer id', () => {
    for (const text of ['', 'x', 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N', '0OIl']) {
      expect(() => publicKeyOfPeerId(text)).toThrow(expect.objectContaining({ code: 'NET_BAD_PEER_ID' }));
    }
  });
});
