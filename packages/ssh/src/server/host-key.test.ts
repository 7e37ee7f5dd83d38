import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import fc from 'fast-check';
import ssh2 from 'ssh2';
import { expect, test } from 'vitest';
import { sshHostKey } from './host-key.ts';

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

test('any ed25519 key is an SSH host key that signs what the key itself signs', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
      const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
      const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
      const hostKey = sshHostKey({ seed, publicKey: new Uint8Array(spki.subarray(-32)) });
      const parsed = ssh2.utils.parseKey(hostKey.privateKey);
      if (parsed instanceof Error) throw parsed;
      expect(`ssh-ed25519 ${parsed.getPublicSSH().toString('base64')}`).toBe(hostKey.publicKey);
      const message = Buffer.from('signed');
      expect(parsed.sign(message)).toEqual(sign(null, message, key));
    }),
    { numRuns: 20 },
  );
});
