import { expect, test } from 'vitest';
import { DaemonPool } from './pool.ts';
import { ERROR, greeting, LAST, scriptedDaemon } from './testing/scripted-daemon.ts';
import { wire } from './testing/wire-bytes.ts';

const PATH = '/nix/store/g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-bar';

test('an idle connection is used again', async () => {
  await using daemon = await scriptedDaemon(Buffer.concat([greeting(34), wire(LAST, 1, LAST, 0)]));
  const pool = new DaemonPool({ socketPath: daemon.socketPath });
  expect(await pool.use(async (client) => client.isValidPath(PATH))).toBe(true);
  expect(await pool.use(async (client) => client.isValidPath(PATH))).toBe(false);
  expect(daemon.sockets.length).toBe(1);
  pool.close();
});

test('a connection is closed when nobody uses it, and with it goes what it roots', async () => {
  await using daemon = await scriptedDaemon(Buffer.concat([greeting(34), wire(LAST, 1)]));
  const pool = new DaemonPool({ socketPath: daemon.socketPath, idleMs: 1 });
  const used = await pool.use(async (client) => {
    await client.isValidPath(PATH);
    return client;
  });
  await used.ended;
  expect(used.closed).toBe(true);
  expect(await pool.use(async (client) => client.isValidPath(PATH))).toBe(true);
  expect(daemon.sockets.length).toBe(2);
  pool.close();
});

test('a connection that is always used is replaced all the same', async () => {
  await using daemon = await scriptedDaemon(Buffer.concat([greeting(34), wire(LAST, 1)]));
  const pool = new DaemonPool({ socketPath: daemon.socketPath, maxAgeMs: 0 });
  for (let use = 1; use <= 3; use++) {
    expect(await pool.use(async (client) => client.isValidPath(PATH))).toBe(true);
    expect(daemon.sockets.length).toBe(use);
  }
  pool.close();
});

test('no more than the most are open, the rest wait', async () => {
  await using daemon = await scriptedDaemon(greeting(34));
  const pool = new DaemonPool({ socketPath: daemon.socketPath, max: 2 });
  let running = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running -= 1;
  };
  await Promise.all(Array.from({ length: 10 }, () => pool.use(work)));
  expect(most).toBe(2);
  expect(daemon.sockets.length).toBe(2);
  pool.close();
});

test('a connection that broke is replaced', async () => {
  await using daemon = await scriptedDaemon(Buffer.concat([greeting(34), wire(99)]));
  const pool = new DaemonPool({ socketPath: daemon.socketPath, max: 1 });
  for (let attempt = 1; attempt <= 2; attempt++) {
    const use = pool.use(async (client) => client.isValidPath(PATH));
    await expect(use).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });
    expect(daemon.sockets.length).toBe(attempt);
  }
  pool.close();
});

test('an error of the daemon keeps the connection', async () => {
  const error = wire(ERROR, 'Error', 0, 'Error', 'no', 0, 0);
  await using daemon = await scriptedDaemon(Buffer.concat([greeting(34), error, wire(LAST, 1)]));
  const pool = new DaemonPool({ socketPath: daemon.socketPath });
  await expect(pool.use(async (client) => client.isValidPath(PATH))).rejects.toMatchObject({
    nixMessage: 'no',
  });
  expect(await pool.use(async (client) => client.isValidPath(PATH))).toBe(true);
  expect(daemon.sockets.length).toBe(1);
  pool.close();
});

test('who waits for an unreachable daemon is told so, every one', async () => {
  const pool = new DaemonPool({ socketPath: '/nonexistent/socket', max: 1 });
  const uses = Array.from({ length: 3 }, () => pool.use(async () => undefined));
  for (const outcome of await Promise.allSettled(uses)) {
    expect(outcome).toMatchObject({ reason: { code: 'NIX_DAEMON_UNREACHABLE' } });
  }
});

test('a closed pool lends nothing', async () => {
  const pool = new DaemonPool({ socketPath: '/nonexistent/socket' });
  pool.close();
  await expect(pool.use(async () => undefined)).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
});
