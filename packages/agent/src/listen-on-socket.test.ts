import { link, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ListeningSocket, listenOnSocket } from './listen-on-socket.ts';

let dir: string;
let path: string;
const open: ListeningSocket[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mesh-listen-'));
  path = join(dir, 'socket');
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((socket) => socket.close()));
  await rm(dir, { recursive: true });
});

async function listen(mode: number, serve: (client: Socket) => void, maxClients?: number): Promise<void> {
  open.push(await listenOnSocket(path, { mode, ...(maxClients === undefined ? {} : { maxClients }) }, serve));
}

/** What a client hears until the other end closes. */
function hear(): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const client = connect(path);
    client.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    client.on('error', () => undefined).on('close', () => resolve(text));
  });
}

describe('a Unix socket that the agent serves', () => {
  test.each([0o600, 0o666])('has the mode %o, whatever the umask of the process is', async (mode) => {
    const umask = process.umask(0o027);
    try {
      await listen(mode, () => undefined);
      expect((await stat(path)).mode & 0o777).toBe(mode);
      expect(process.umask()).toBe(0o027);
    } finally {
      process.umask(umask);
    }
  });

  test('takes the place of a socket that nobody serves any more', async () => {
    await leaveDeadSocket();
    expect(await hear()).toBe('');
    await listen(0o600, (client) => client.end('alive'));
    expect(await hear()).toBe('alive');
  });

  test('leaves alone a socket that somebody serves', async () => {
    await listen(0o600, (client) => client.end('first'));
    await expect(listen(0o600, (client) => client.end('second'))).rejects.toMatchObject({
      code: 'AGENT_ALREADY_RUNNING',
    });
    expect(await hear()).toBe('first');
  });

  test('says why where it cannot listen, and the umask is what it was', async () => {
    const umask = process.umask();
    path = join(dir, 'missing', 'socket');
    await expect(listen(0o600, () => undefined)).rejects.toThrow('listen');
    expect(process.umask()).toBe(umask);
  });

  test('outlives a client that breaks off while it is written to', async () => {
    const gone = Promise.withResolvers<void>();
    await listen(0o600, (client) => {
      client.on('close', () => gone.resolve());
      const write = (): void => void (client.destroyed || client.write(Buffer.alloc(1_000_000), write));
      write();
    });
    connect(path).once('data', function (this: Socket) {
      this.destroy();
    });
    await gone.promise;
  });

  test('turns away more clients than it may have', async () => {
    const served: Socket[] = [];
    await listen(0o600, (client) => served.push(client) === 1 && client.write('hello'), 1);
    const first = connect(path);
    await new Promise((resolve) => first.once('data', resolve));
    expect(await hear()).toBe('');
    expect(served).toHaveLength(1);
    first.destroy();
  });

  test('breaks off its clients when it is closed, and leaves no file', async () => {
    await listen(0o600, (client) => client.write('hello'));
    const client = connect(path);
    await new Promise((resolve) => client.once('data', resolve));
    const closed = new Promise((resolve) => client.on('error', () => undefined).once('close', resolve));
    await open.pop()?.close();
    await closed;
    expect(await readdir(dir)).toEqual([]);
  });
});

/** A socket file as a killed process leaves it: bound, and nobody listens. */
async function leaveDeadSocket(): Promise<void> {
  const server = createServer();
  const bound = join(dir, 'bound');
  await new Promise<void>((resolve) => server.listen(bound, resolve));
  await link(bound, path);
  await new Promise((resolve) => server.close(resolve));
}
