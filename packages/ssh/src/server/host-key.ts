import { randomBytes } from 'node:crypto';

/** An SSH host key made of an ed25519 key. */
export interface SshHostKey {
  /** The private key as OpenSSH writes it: secret. */
  readonly privateKey: string;
  /** `ssh-ed25519 AAAA…`, as a `.pub` file has it without comment. */
  readonly publicKey: string;
}

const TYPE = 'ssh-ed25519';
const LINE_CHARS = 70;
const BLOCK_BYTES = 8;

/**
 * Source of the format: OpenSSH PROTOCOL.key.
 * @param key 32 bytes each: the seed of RFC 8032 and the public key of it
 */
export function sshHostKey({ seed, publicKey }: { seed: Uint8Array; publicKey: Uint8Array }): SshHostKey {
  const blob = Buffer.concat([field(TYPE), field(publicKey)]);
  const check = randomBytes(4);
  const secret = Buffer.concat([
    ...[check, check, blob],
    field(Buffer.concat([seed, publicKey])),
    field('mesh'),
  ]);
  const padding = Buffer.from(
    Array.from({ length: (BLOCK_BYTES - (secret.length % BLOCK_BYTES)) % BLOCK_BYTES }, (_, i) => i + 1),
  );
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0', 'latin1'),
    ...[field('none'), field('none'), field('')],
    Buffer.from([0, 0, 0, 1]),
    field(blob),
    field(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString('base64').match(new RegExp(`.{1,${LINE_CHARS}}`, 'g')) ?? [];
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicKey: `${TYPE} ${blob.toString('base64')}`,
  };
}

function field(content: string | Uint8Array): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
