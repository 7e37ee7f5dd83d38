import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type HostKey,
  hostKeyAlgorithms,
  hostKeyFingerprint,
  hostKeyOf,
  judgeHostKey,
  knownHostsLine,
  lookUpHost,
  parsePinnedHostKey,
} from './known-hosts.ts';

function keyOf(type: string, seed: string): HostKey {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return hostKeyOf(Buffer.concat([length, Buffer.from(type), Buffer.from(seed)]));
}

const field = (key: HostKey): string => `${key.type} ${key.blob.toString('base64')}`;
const ed = keyOf('ssh-ed25519', 'the ed25519 key');
const otherEd = keyOf('ssh-ed25519', 'another ed25519 key');
const rsa = keyOf('ssh-rsa', 'the rsa key');

function hashed(name: string, key: HostKey): string {
  const salt = Buffer.from('twenty bytes of salt');
  const hash = createHmac('sha1', salt).update(name).digest('base64');
  return `|1|${salt.toString('base64')}|${hash} ${field(key)}`;
}

describe('known_hosts', () => {
  it('finds a host among several names, whatever the case', () => {
    const text = `# a comment\naquamarine,192.168.5.101 ${field(ed)} root@aquamarine\n`;
    expect(judgeHostKey(lookUpHost([text], 'AquaMarine', 22), ed)).toBe('known');
    expect(judgeHostKey(lookUpHost([text], '192.168.5.101', 22), ed)).toBe('known');
    expect(judgeHostKey(lookUpHost([text], 'ruby', 22), ed)).toBe('unknown');
  });

  it('calls another key of a known host changed, also where it is of another type', () => {
    const known = lookUpHost([`kana ${field(ed)}`], 'kana', 22);
    expect(judgeHostKey(known, otherEd)).toBe('changed');
    expect(judgeHostKey(known, rsa)).toBe('changed');
  });

  it('takes any of several keys of a host', () => {
    const known = lookUpHost([`kana ${field(ed)}\nkana ${field(rsa)}`, `kana ${field(otherEd)}`], 'kana', 22);
    for (const key of [ed, rsa, otherEd]) expect(judgeHostKey(known, key)).toBe('known');
  });

  it('reads hashed names', () => {
    expect(judgeHostKey(lookUpHost([hashed('ruby', ed)], 'ruby', 22), ed)).toBe('known');
    expect(judgeHostKey(lookUpHost([hashed('[ruby]:2222', ed)], 'ruby', 2222), ed)).toBe('known');
    expect(judgeHostKey(lookUpHost([hashed('ruby', ed)], 'kana', 22), ed)).toBe('unknown');
  });

  it('keeps the keys of a port to that port; the same key without one is recognised, another one proves nothing', () => {
    const text = `[ruby]:2222 ${field(ed)}\nruby ${field(rsa)}`;
    expect(judgeHostKey(lookUpHost([text], 'ruby', 2222), ed)).toBe('known');
    expect(judgeHostKey(lookUpHost([text], 'ruby', 22), ed)).toBe('changed');
    expect(judgeHostKey(lookUpHost([`ruby ${field(ed)}`], 'ruby', 2222), ed)).toBe('known');
    expect(judgeHostKey(lookUpHost([`ruby ${field(rsa)}`], 'ruby', 2222), ed)).toBe('unknown');
  });

  it('refuses a revoked key, whatever else is said of it', () => {
    const text = `ruby ${field(ed)}\n@revoked * ${field(ed)}`;
    expect(judgeHostKey(lookUpHost([text], 'ruby', 22), ed)).toBe('revoked');
    expect(judgeHostKey(lookUpHost([text], 'ruby', 2222), ed)).toBe('revoked');
  });

  it('does not take the key of a certificate authority for a host’s', () => {
    expect(judgeHostKey(lookUpHost([`@cert-authority *.lan ${field(ed)}`], 'ruby.lan', 22), ed)).toBe(
      'unknown',
    );
  });

  it('knows wildcards and exceptions', () => {
    const text = `*.lan,!kana.lan,10.0.0.? ${field(ed)}`;
    expect(judgeHostKey(lookUpHost([text], 'ruby.lan', 22), ed)).toBe('known');
    expect(judgeHostKey(lookUpHost([text], 'kana.lan', 22), ed)).toBe('unknown');
    expect(judgeHostKey(lookUpHost([text], '10.0.0.7', 22), ed)).toBe('known');
    expect(judgeHostKey(lookUpHost([text], '10.0.0.17', 22), ed)).toBe('unknown');
  });

  it('passes over lines that are none', () => {
    const text = [
      'ruby',
      'ruby ssh-ed25519',
      'ruby ssh-ed25519 !!!',
      `ruby ssh-rsa ${ed.blob.toString('base64')}`,
    ].join('\n');
    expect(lookUpHost([text, '|1|x ssh-ed25519 AAAA', '|2|a|b ssh-ed25519 AAAA'], 'ruby', 22).keys).toEqual(
      [],
    );
  });

  it('finds what it wrote down', () => {
    fc.assert(
      fc.property(fc.domain(), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
        const known = lookUpHost([knownHostsLine(host, port, ed)], host, port);
        return judgeHostKey(known, ed) === 'known' && judgeHostKey(known, otherEd) === 'changed';
      }),
    );
  });

  it('never fails on any text, and never vouches for a key that is not in it', () => {
    fc.assert(
      fc.property(fc.string(), (text) => judgeHostKey(lookUpHost([text], 'ruby', 22), ed) === 'unknown'),
    );
  });
});

describe('the key asked for', () => {
  const all = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'];

  it('is of a type that is known', () => {
    expect(hostKeyAlgorithms([rsa], all)).toEqual([
      'rsa-sha2-512',
      'rsa-sha2-256',
      'ssh-ed25519',
      'ecdsa-sha2-nistp256',
    ]);
    expect(hostKeyAlgorithms([], all)).toEqual(all);
  });
});

describe('a pinned key', () => {
  it('may be written as its wire form, as a line, and as Nix has it: a line once more in base64', () => {
    const line = `${field(ed)} root@aquamarine\n`;
    for (const text of [ed.blob.toString('base64'), line, Buffer.from(line).toString('base64')])
      expect(parsePinnedHostKey(text).blob).toEqual(ed.blob);
  });

  it('is refused where it is no key', () => {
    for (const text of ['', 'AAAA', 'not base64 at all', Buffer.from('ssh-ed25519 AAAA').toString('base64')])
      expect(() => parsePinnedHostKey(text), text).toThrow(
        expect.objectContaining({ code: 'SSH_BAD_CONFIG' }),
      );
  });

  it('has the fingerprint that ssh-keygen prints', () => {
    const real = 'AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
    expect(hostKeyFingerprint(parsePinnedHostKey(real))).toBe(
      'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU',
    );
  });
});
