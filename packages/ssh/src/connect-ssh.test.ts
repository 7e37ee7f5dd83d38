import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import ssh2 from 'ssh2';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connectSsh } from './connect-ssh.ts';
import { hostKeyFingerprint, hostKeyOf, knownHostsLine } from './known-hosts.ts';
import type { SshClient, SshTarget } from './ssh-client.ts';
import { publicBlob, type TestSshd, testSshd } from './testing/sshd.ts';

const user = ssh2.utils.generateKeyPairSync('ed25519');
const hostKey = ssh2.utils.generateKeyPairSync('ed25519').private;
const rsaHostKey = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString();

let dir: string;
let sshd: TestSshd;
let target: SshTarget;
const opened: SshClient[] = [];

async function connected(changes: Partial<SshTarget> = {}): Promise<SshClient> {
  const client = await connectSsh({ ...target, ...changes }, { readyTimeoutMs: 10_000 });
  opened.push(client);
  return client;
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mesh-ssh-'));
  sshd = await testSshd(user.private, [hostKey]);
  await writeFile(join(dir, 'key'), user.private, { mode: 0o600 });
  await writeFile(join(dir, 'known_hosts'), `${knownHostsLine('127.0.0.1', sshd.port, sshd.hostKey)}\n`);
  target = {
    name: 'ruby',
    host: '127.0.0.1',
    port: sshd.port,
    user: 'ryan',
    identityFiles: [join(dir, 'key')],
    knownHostsFiles: [join(dir, 'known_hosts')],
  };
});

afterEach(async () => {
  for (const client of opened.splice(0)) client.close();
  sshd.close();
  await rm(dir, { recursive: true });
});

describe('a connection', () => {
  it('runs commands beside each other, each with its streams and its exit code', async () => {
    const client = await connected();
    const echo = await client.run('cat');
    expect(await client.output('uptime')).toEqual({
      exitCode: 7,
      stdout: 'ran uptime',
      stderr: 'a word aside',
    });
    echo.stream.end('and this one still runs');
    expect(await text(echo.stream)).toBe('and this one still runs');
    expect(await echo.exitCode).toBe(0);
    expect(sshd.accepted).toBe(1);
  });

  it('sends what is written at once: a question in two pieces waits for no acknowledgement of the first', async () => {
    const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
    await connected();
    const ours = (setNoDelay.mock.contexts as Socket[]).filter((socket) => socket.remotePort === sshd.port);
    expect(ours).toHaveLength(1);
    expect(setNoDelay).toHaveBeenCalledWith(true);
    setNoDelay.mockRestore();
  });

  it('carries megabytes', async () => {
    const big = 'mesh'.repeat(1_000_000);
    expect((await (await connected()).output('cat', big)).stdout).toBe(big);
  });

  it('says so where the machine starts no command', async () => {
    await expect((await connected()).run('refused')).rejects.toMatchObject({ code: 'SSH_REFUSED_COMMAND' });
  });

  it('ends what runs on it when it is lost, and then runs nothing more', async () => {
    const client = await connected();
    const echo = await client.run('cat');
    echo.stream.on('error', () => undefined);
    sshd.cut();
    expect(await echo.exitCode).toBe(-1);
    expect(await client.closed).toMatchObject({ code: 'SSH_CLOSED' });
    await expect(client.run('cat')).rejects.toMatchObject({ code: 'SSH_CLOSED' });
  });

  it('is noticed to be gone where the other side went without a word', async () => {
    const client = await connectSsh(target, { keepaliveMs: 50 });
    sshd.freeze();
    expect(await client.closed).toMatchObject({ code: 'SSH_CLOSED' });
  });

  it('closes without complaint when it is closed here', async () => {
    const client = await connected();
    client.close();
    expect(await client.closed).toBeUndefined();
  });

  it('goes through another machine', async () => {
    const inner = await testSshd(user.private, [hostKey]);
    const pinnedHostKey = sshd.hostKey.blob.toString('base64');
    const client = await connected({ port: inner.port, pinnedHostKey, jump: target });
    expect((await client.output('hostname')).stdout).toBe('ran hostname');
    expect([sshd.accepted, inner.accepted]).toEqual([1, 1]);
    inner.close();
  });
});

describe('the host key', () => {
  it('must be known', async () => {
    await writeFile(join(dir, 'known_hosts'), '');
    await expect(connected()).rejects.toMatchObject({ code: 'SSH_HOST_KEY_UNKNOWN' });
  });

  it('is taken and written down where the person asked says yes, and asked for no more', async () => {
    await writeFile(join(dir, 'known_hosts'), '');
    const asked: string[] = [];
    await connected({
      confirmUnknownHost: async (host, type, fingerprint) => {
        asked.push(`${host} ${type} ${fingerprint.slice(0, 7)}`);
        return true;
      },
    });
    expect(asked).toEqual(['127.0.0.1 ssh-ed25519 SHA256:']);
    expect(await readFile(join(dir, 'known_hosts'), 'utf8')).toBe(
      `${knownHostsLine('127.0.0.1', sshd.port, sshd.hostKey)}\n`,
    );
    await connected();
  });

  it('is not taken where the person says no', async () => {
    await writeFile(join(dir, 'known_hosts'), '');
    const refused = connected({ confirmUnknownHost: async () => false });
    await expect(refused).rejects.toMatchObject({ code: 'SSH_HOST_KEY_UNKNOWN' });
  });

  it('that changed is refused, loudly, whoever says yes', async () => {
    const other = hostKeyOf(publicBlob(ssh2.utils.generateKeyPairSync('ed25519').private));
    await writeFile(join(dir, 'known_hosts'), knownHostsLine('127.0.0.1', sshd.port, other));
    const refused = connected({ acceptNewHosts: true, confirmUnknownHost: async () => true });
    await expect(refused).rejects.toMatchObject({
      code: 'SSH_HOST_KEY_CHANGED',
      message: expect.stringContaining('THE HOST KEY OF ruby HAS CHANGED'),
    });
  });

  it('is asked for in the type that is known', async () => {
    sshd.close();
    sshd = await testSshd(user.private, [hostKey, rsaHostKey]);
    const rsa = hostKeyOf(publicBlob(rsaHostKey));
    await writeFile(join(dir, 'known_hosts'), knownHostsLine('127.0.0.1', sshd.port, rsa));
    await connected({ port: sshd.port });
  });

  it('may be pinned: then known_hosts has no say', async () => {
    await writeFile(join(dir, 'known_hosts'), '');
    await connected({ pinnedHostKey: sshd.hostKey.blob.toString('base64') });
    const other = publicBlob(ssh2.utils.generateKeyPairSync('ed25519').private).toString('base64');
    await expect(connected({ pinnedHostKey: other })).rejects.toMatchObject({ code: 'SSH_HOST_KEY_CHANGED' });
  });

  it('may be pinned by its fingerprint: another is refused, whoever else vouches for it', async () => {
    const other = hostKeyFingerprint(
      hostKeyOf(publicBlob(ssh2.utils.generateKeyPairSync('ed25519').private)),
    );
    const code = 'SSH_HOST_KEY_CHANGED';
    await expect(connected({ pinnedHostKey: other })).rejects.toMatchObject({ code });
    await writeFile(join(dir, 'known_hosts'), '');
    await expect(connected({ pinnedHostKey: other, acceptNewHosts: true })).rejects.toMatchObject({ code });
    expect(await readFile(join(dir, 'known_hosts'), 'utf8')).toBe('');
    await connected({ pinnedHostKey: hostKeyFingerprint(sshd.hostKey) });
    await connected({});
    await expect(connected({ pinnedHostKey: 'SHA256:abc' })).rejects.toMatchObject({
      code: 'SSH_BAD_CONFIG',
    });
  });
});

describe('logging in', () => {
  it('needs the right key, and names the files that could not be used', async () => {
    await writeFile(join(dir, 'wrong'), ssh2.utils.generateKeyPairSync('ed25519').private);
    const wrong = connected({ identityFiles: [join(dir, 'wrong'), join(dir, 'absent')] });
    await expect(wrong).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
      message: expect.stringContaining(`${join(dir, 'absent')} does not exist`),
    });
  });

  it('tries one key after the other', async () => {
    await writeFile(join(dir, 'wrong'), ssh2.utils.generateKeyPairSync('ed25519').private);
    await connected({ identityFiles: [join(dir, 'wrong'), join(dir, 'key')] });
  });

  it('passes over keys with a passphrase', async () => {
    const locked = ssh2.utils.generateKeyPairSync('ed25519', {
      ...{ passphrase: 'x', cipher: 'aes256-ctr', rounds: 1 },
    });
    await writeFile(join(dir, 'locked'), locked.private);
    await expect(connected({ identityFiles: [join(dir, 'locked')] })).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
      message: expect.stringContaining('locked cannot be used'),
    });
    await connected({ identityFiles: [join(dir, 'locked'), join(dir, 'key')] });
  });
});

describe('a machine that is not there', () => {
  it('is unreachable', async () => {
    sshd.close();
    await expect(connected()).rejects.toMatchObject({
      code: 'SSH_UNREACHABLE',
      message: expect.stringContaining('no SSH server listens on that port'),
    });
  });

  it('may be given up', async () => {
    const giveUp = new AbortController();
    const connecting = connectSsh(target, { signal: giveUp.signal });
    giveUp.abort(new Error('enough'));
    await expect(connecting).rejects.toThrow('enough');
  });
});
