import { mkdtemp, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@mesh/net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../errors.ts';
import type { ControlHandler } from './control-handler.ts';
import { ControlServer } from './control-server.ts';

let dir: string;
let server: ControlServer | undefined;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mesh-control-'));
});
afterEach(async () => {
  await server?.stop();
  await rm(dir, { recursive: true });
});

async function serve(handle: ControlHandler['handle']): Promise<void> {
  server = new ControlServer(dir, { handle }, silentLogger);
  await server.start();
}

/** Sends lines, reads until the agent closes. */
function ask(socket: string, ...lines: (object | string)[]): Promise<Record<string, unknown>[]> {
  return new Promise((resolve, reject) => {
    const connection = connect(join(dir, socket));
    let text = '';
    connection.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    connection.on('error', reject);
    connection.on('close', () =>
      resolve(
        text
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line)),
      ),
    );
    for (const line of lines) connection.write(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`);
  });
}

describe('the local API', () => {
  test('answers a request with one result', async () => {
    await serve(async (request) => ({ asked: request.method }));
    expect(await ask('agent.sock', { version: 1, method: 'peers' })).toEqual([
      { type: 'result', value: { asked: 'peers' } },
    ]);
  });

  test('passes on the derivations of a build as they come, and its events', async () => {
    await serve(async (_request, { inputs, emit }) => {
      const paths: string[] = [];
      for await (const input of inputs) {
        if (input.type === 'derivation') paths.push(input.drvPath);
        await emit({ type: 'log', text: input.type });
      }
      return { job: paths.join() };
    });
    const answers = await ask(
      'agent.sock',
      { version: 1, method: 'build', options: {} },
      { type: 'derivation', drvPath: '/nix/store/a.drv', outputs: [] },
      { type: 'derivation', drvPath: '/nix/store/b.drv', outputs: ['dev'] },
      { type: 'evaluated' },
    );
    expect(answers).toEqual([
      { type: 'log', text: 'derivation' },
      { type: 'log', text: 'derivation' },
      { type: 'log', text: 'evaluated' },
      { type: 'result', value: { job: '/nix/store/a.drv,/nix/store/b.drv' } },
    ]);
  });

  test('gives an error its code, its sentence and its exit code', async () => {
    await serve(async () => {
      throw new AgentError('BUILD_UNKNOWN_MACHINE', 'No machine of this mesh is called x.', { exitCode: 2 });
    });
    expect(await ask('agent.sock', { version: 1, method: 'jobs' })).toEqual([
      {
        type: 'error',
        code: 'BUILD_UNKNOWN_MACHINE',
        message: 'No machine of this mesh is called x.',
        exitCode: 2,
      },
    ]);
  });

  test.each(['invite', 'join', 'remove'] as const)(
    'lets only the agent’s own user ask for %s',
    async (method) => {
      await serve(async () => 'done');
      const request = { version: 1, method, ttlMs: 1, roles: [], ticket: 'mesh1x', peer: 'h2' };
      expect(await ask('agent.sock', request)).toMatchObject([
        { type: 'error', code: 'AGENT_NOT_PERMITTED' },
      ]);
      expect(await ask('admin.sock', request)).toEqual([{ type: 'result', value: 'done' }]);
      expect((await stat(join(dir, 'admin.sock'))).mode & 0o777).toBe(0o600);
      expect((await stat(join(dir, 'agent.sock'))).mode & 0o777).toBe(0o666);
    },
  );

  test('ends a request’s work when its client leaves', async () => {
    const started = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    await serve(async (_request, { signal }) => {
      signal.addEventListener('abort', () => ended.resolve());
      started.resolve();
      await ended.promise;
      return null;
    });
    const connection = connect(join(dir, 'agent.sock'));
    connection.write(`${JSON.stringify({ version: 1, method: 'jobs' })}\n`);
    await started.promise;
    connection.destroy();
    await ended.promise;
  });

  test.each([
    ['no JSON', 'hello?', 'AGENT_BAD_REQUEST'],
    ['an unknown method', { version: 1, method: 'dance' }, 'AGENT_BAD_REQUEST'],
    ['another version', { version: 99, method: 'peers' }, 'AGENT_VERSION'],
  ])('refuses %s politely', async (_what, line, code) => {
    await serve(async () => 'done');
    expect(await ask('agent.sock', line)).toMatchObject([{ type: 'error', code }]);
  });

  test('refuses to start beside a running agent, but replaces a dead one’s sockets', async () => {
    await serve(async () => 'done');
    const second = new ControlServer(dir, { handle: async () => 'second' }, silentLogger);
    await expect(second.start()).rejects.toMatchObject({ code: 'AGENT_ALREADY_RUNNING' });
    await server?.stop();
    await second.start();
    expect(await ask('agent.sock', { version: 1, method: 'jobs' })).toEqual([
      { type: 'result', value: 'second' },
    ]);
    await second.stop();
    server = undefined;
  });
});
