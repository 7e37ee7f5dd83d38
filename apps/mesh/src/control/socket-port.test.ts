import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuildInput, ControlRequest, ControlResponse } from '@mesh/wire';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { drv } from '../testing/recorded-job.ts';
import { readLines } from './line-reader.ts';
import { ask } from './port.ts';
import { createSocketPort } from './socket-port.ts';

let dir: string;
let servers: { server: Server; sockets: Set<Socket> }[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mesh-control-'));
  servers = [];
});

afterEach(async () => {
  for (const { server, sockets } of servers) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
  await rm(dir, { recursive: true });
});

type Answer = (request: ControlRequest, lines: AsyncIterator<string>, socket: Socket) => Promise<void>;

/** An agent's end of the socket: reads the request line, then does what the test says. */
async function listen(answer: Answer, path = join(dir, 'agent.sock')): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    const lines = readLines(socket, 1_000_000);
    lines.next().then(
      async ({ value }) => {
        if (typeof value === 'string') await answer(JSON.parse(value), lines, socket);
      },
      // A command that broke off before it asked.
      () => undefined,
    );
  });
  servers.push({ server, sockets });
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

const say = (socket: Socket, ...lines: unknown[]) =>
  socket.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));

const STATUS = {
  name: 'h1',
  peerId: 'p1',
  meshId: 'm1',
  version: '0.1.0',
  nixVersion: '2.34.8',
  addresses: [],
};
const BUILD = {
  method: 'build',
  options: { local: false, keepGoing: false, dryRun: false, logs: false },
} as const;

describe('asking an agent', () => {
  it('sends one versioned request and gives back the validated result', async () => {
    let asked: unknown;
    await listen(async (request, _, socket) => {
      asked = request;
      say(socket, { type: 'result', value: STATUS });
      socket.end();
    });
    await expect(ask(createSocketPort([dir]), { method: 'status' })).resolves.toEqual(STATUS);
    expect(asked).toEqual({ version: 1, method: 'status' });
  });

  it('uses the admin socket for what only the owner may ask', async () => {
    const remove: Answer = async (_, __, socket) => {
      say(socket, { type: 'result', value: { peerId: 'p2', name: 'h2' } });
    };
    await listen(remove, join(dir, 'admin.sock'));
    const port = createSocketPort([dir]);
    await expect(ask(port, { method: 'remove', peer: 'h2' })).resolves.toEqual({ peerId: 'p2', name: 'h2' });
    await expect(ask(port, { method: 'status' })).rejects.toMatchObject({ code: 'MESH_NO_AGENT' });
  });

  it('goes on to the next directory where no agent lives in the first', async () => {
    await listen(async (_, __, socket) => {
      say(socket, { type: 'result', value: STATUS });
    });
    const port = createSocketPort([join(dir, 'nothing'), dir]);
    await expect(ask(port, { method: 'status' })).resolves.toEqual(STATUS);
  });

  it('hands on the events in order, and the inputs of a build as lines', async () => {
    const inputs: BuildInput[] = [
      { type: 'derivation', drvPath: drv('a'), outputs: ['out'] },
      { type: 'evaluated' },
    ];
    const received: unknown[] = [];
    const events = [1, 2, 3].map(
      (atMs): ControlResponse => ({
        type: 'event',
        event: { type: 'note', atMs, level: 'info', message: 'x' },
      }),
    );
    await listen(async (_, lines, socket) => {
      for (const __ of inputs) received.push(JSON.parse((await lines.next()).value));
      say(socket, ...events, { type: 'result', value: { job: 'j1' } });
    });
    const emitted: ControlResponse[] = [];
    const result = await ask(createSocketPort([dir]), BUILD, {
      inputs: (async function* () {
        yield* inputs;
      })(),
      emit: (response) => emitted.push(response),
    });
    expect(result).toEqual({ job: 'j1' });
    expect(received).toEqual(inputs);
    expect(emitted).toEqual(events);
  });
});

describe('an agent that cannot answer', () => {
  const status = () => ask(createSocketPort([dir]), { method: 'status' });

  it('is not running: the socket is missing, or its process is gone', async () => {
    await expect(status()).rejects.toMatchObject({ code: 'MESH_NO_AGENT', exitCode: 1 });
    await writeFile(join(dir, 'agent.sock'), '');
    await expect(status()).rejects.toMatchObject({ code: 'MESH_NO_AGENT' });
  });

  it('refuses with its own code, sentence and exit code', async () => {
    const refusal = { code: 'BUILD_UNKNOWN_MACHINE', message: 'No machine is called h9.', exitCode: 1 };
    await listen(async (_, __, socket) => {
      say(socket, { type: 'error', ...refusal });
    });
    await expect(status()).rejects.toMatchObject(refusal);
  });

  it('stops in the middle', async () => {
    await listen(async (_, __, socket) => {
      socket.destroy();
    });
    await expect(status()).rejects.toMatchObject({ code: 'MESH_AGENT_GONE' });
  });

  it.each([
    ['no JSON', 'hello\n'],
    ['an unknown kind of line', '{"type":"song"}\n'],
    ['a result of another shape', '{"type":"result","value":{"name":7}}\n'],
  ])('is of another version: %s', async (_, line) => {
    await listen(async (__, ___, socket) => {
      socket.end(line);
    });
    await expect(status()).rejects.toMatchObject({ code: 'MESH_VERSION_MISMATCH' });
  });
});

describe('cancelling', () => {
  it('closes the connection and waits for the agent to close its end', async () => {
    const cancel = new AbortController();
    let sawTheEnd = false;
    await listen(async (_, lines) => {
      cancel.abort();
      sawTheEnd = (await lines.next()).done === true;
    });
    const build = ask(createSocketPort([dir]), BUILD, { signal: cancel.signal });
    await expect(build).rejects.toThrow('aborted');
    expect(sawTheEnd).toBe(true);
  });

  it('throws the failure of the inputs, not that of the connection it ended', async () => {
    await listen(async () => undefined);
    const build = ask(createSocketPort([dir]), BUILD, {
      // biome-ignore lint/correctness/useYield: an evaluation that fails before its first derivation.
      inputs: (async function* (): AsyncGenerator<BuildInput> {
        throw new Error('attribute missing');
      })(),
    });
    await expect(build).rejects.toThrow('attribute missing');
  });
});
