import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseStorePath } from '../store-path.ts';
import { DaemonClient } from './client.ts';
import type { DaemonEvent } from './events.ts';
import {
  ERROR,
  greeting,
  LAST,
  NEXT,
  RESULT,
  type ScriptedDaemon,
  START,
  STOP,
  scriptedDaemon,
} from './testing/scripted-daemon.ts';
import { wire } from './testing/wire-bytes.ts';

const PATH = '/nix/store/g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-bar';
const TREE = readFileSync(new URL('../../fixtures/tree.nar', import.meta.url));
const INFO = {
  path: PATH,
  narHash: new Uint8Array(32),
  narSize: TREE.length,
  references: [PATH],
  signatures: [],
};
const SET_OPTIONS = wire(19, 0, 0, 0, 3, 1, 0, 1, 7, 0, 0, 0, 1, 0);

/** What a client says before its first operation, to a daemon of 1.38. */
const OPENING = Buffer.concat([
  wire(0x6e697863, 0x126, 1, 'realisation-with-path-not-hash', 0, 0),
  SET_OPTIONS,
]);

async function expectSent(daemon: ScriptedDaemon, ...requests: Buffer[]): Promise<void> {
  const sent = Buffer.concat([OPENING, ...requests]);
  expect((await daemon.receives(sent.length)).equals(sent)).toBe(true);
}

async function connected(
  answers: Buffer,
  minor = 38,
): Promise<{ daemon: ScriptedDaemon; client: DaemonClient }> {
  const daemon = await scriptedDaemon(Buffer.concat([greeting(minor), answers]));
  return {
    daemon,
    client: await DaemonClient.connect({ socketPath: daemon.socketPath, stallTimeoutMs: 200 }),
  };
}

describe('connecting', () => {
  test('many at once to a daemon that lets few wait', async () => {
    await using daemon = await scriptedDaemon(greeting(34), 1);
    const connecting = Array.from({ length: 20 }, () =>
      DaemonClient.connect({ socketPath: daemon.socketPath }),
    );
    for (const client of await Promise.all(connecting)) client.close();
    expect(daemon.sockets).toHaveLength(20);
  });

  test('to a daemon of 1.34: no features, no trust', async () => {
    await using daemon = await scriptedDaemon(greeting(34));
    const client = await DaemonClient.connect({ socketPath: daemon.socketPath });
    expect(client).toMatchObject({
      protocol: { major: 1, minor: 34 },
      nixVersion: '2.99.0',
      trust: 'unknown',
    });
    expect(client.features.size).toBe(0);
    const sent = Buffer.concat([wire(0x6e697863, 0x126, 0, 0), SET_OPTIONS]);
    expect(await daemon.receives(sent.length)).toEqual(sent);
    client.close();
  });

  test('to a daemon of 1.38: features are exchanged, common ones used', async () => {
    const features = ['delete-dead-specific-referrers', 'realisation-with-path-not-hash'];
    await using daemon = await scriptedDaemon(greeting(38, { trust: 1, features }));
    const client = await DaemonClient.connect({
      socketPath: daemon.socketPath,
      options: { buildCores: 4, overrides: { builders: '' } },
    });
    expect(client.trust).toBe('trusted');
    expect([...client.features]).toEqual(['realisation-with-path-not-hash']);
    const sent = Buffer.concat([
      wire(0x6e697863, 0x126, 1, 'realisation-with-path-not-hash', 0, 0),
      wire(19, 0, 0, 0, 3, 1, 0, 1, 7, 0, 0, 4, 1, 1, 'builders', ''),
    ]);
    expect(await daemon.receives(sent.length)).toEqual(sent);
    client.close();
  });

  test.each([
    ['newer than this program', greeting(38).fill(wire(0x164), 8, 16), 38],
    ['between', greeting(35, { trust: 2 }), 35],
  ])('a daemon %s is spoken to in the older version of both', async (_, speech, minor) => {
    await using daemon = await scriptedDaemon(speech);
    const client = await DaemonClient.connect({ socketPath: daemon.socketPath });
    expect(client.protocol.minor).toBe(minor);
    client.close();
  });

  test.each([
    ['an old daemon', greeting(33), 'NIX_DAEMON_TOO_OLD'],
    ['another major version', wire(0x6478696f, 0x226), 'NIX_DAEMON_PROTOCOL'],
    ['another kind of server', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'NIX_DAEMON_PROTOCOL'],
    ['an unknown trust level', greeting(38, { trust: 3 }), 'NIX_DAEMON_PROTOCOL'],
    ['a daemon that is silent', Buffer.alloc(0), 'NIX_DAEMON_PROTOCOL'],
    ['half a greeting', greeting(38).subarray(0, 20), 'NIX_DAEMON_PROTOCOL'],
    ['a daemon that refuses the user', refusal('not allowed'), 'NIX_DAEMON_ERROR'],
  ])('%s is refused', async (_, speech, code) => {
    await using daemon = await scriptedDaemon(speech);
    const connecting = DaemonClient.connect({ socketPath: daemon.socketPath, handshakeTimeoutMs: 200 });
    await expect(connecting).rejects.toMatchObject({ code });
  });

  test.each([
    ['no socket', '/nonexistent/socket'],
    ['a file that is no socket', fileURLToPath(import.meta.url)],
  ])('%s: the daemon is unreachable', async (_, socketPath) => {
    await expect(DaemonClient.connect({ socketPath })).rejects.toMatchObject({
      code: 'NIX_DAEMON_UNREACHABLE',
    });
  });

  test('can be given up', async () => {
    await using daemon = await scriptedDaemon(Buffer.alloc(0));
    const controller = new AbortController();
    const connecting = DaemonClient.connect({ socketPath: daemon.socketPath, signal: controller.signal });
    await daemon.receives(16);
    controller.abort(new Error('changed my mind'));
    await expect(connecting).rejects.toThrow('changed my mind');
  });
});

function refusal(message: string): Buffer {
  return Buffer.concat([wire(0x6478696f, 0x122, '2.8.0', ERROR, 'Error', 0, 'Error', message, 0, 0)]);
}

describe('operations', () => {
  test('a build tells events and gives its result', async () => {
    const id = (0x7fff_fffen << 32n) + 5n;
    const answers = wire(
      ...[
        START,
        id,
        3,
        105,
        "building '\u001b[35mx\u001b[0m'",
        3,
        1,
        `${PATH}.drv`,
        0,
        1,
        0,
        2n ** 64n - 1n,
        0,
      ],
      ...[RESULT, id, 104, 1, 1, 'buildPhase'],
      ...[RESULT, id, 101, 1, 1, 'gcc -c x.c'],
      ...[RESULT, id, 105, 2, 0, 1, 0, 2],
      ...[NEXT, 'warning: \u001b[1mold\u001b[0m\n', STOP, id],
      ...[LAST, 0, '', 1, 0, 30, 50, 0, 0, 0],
    );
    const { daemon, client } = await connected(answers);
    await using _ = daemon;
    const call = client.buildDerivation(`${PATH}.drv`, {
      outputs: new Map([['out', { path: PATH, hashAlgo: '', hash: '' }]]),
      inputSrcs: [PATH],
      system: 'x86_64-linux',
      builder: '/bin/sh',
      args: ['-c', 'true'],
      env: new Map([['odd', '\udcff']]),
    });
    const events: DaemonEvent[] = [];
    for await (const event of call) events.push(event);
    expect(events).toEqual([
      {
        type: 'start',
        id: 1,
        level: 3,
        activity: 'build',
        text: "building 'x'",
        fields: [`${PATH}.drv`, 1, -1],
        parent: 0,
      },
      { type: 'phase', id: 1, phase: 'buildPhase' },
      { type: 'log', id: 1, line: 'gcc -c x.c', hook: false },
      { type: 'result', id: 1, result: 'progress', fields: [1, 2] },
      { type: 'text', text: 'warning: old' },
      { type: 'stop', id: 1 },
    ]);
    expect(await call).toMatchObject({ status: 'built', builtOutputs: new Map([['out', PATH]]) });
    const request = Buffer.concat([
      wire(
        36,
        `${PATH}.drv`,
        1,
        'out',
        PATH,
        '',
        '',
        1,
        PATH,
        'x86_64-linux',
        '/bin/sh',
        2,
        '-c',
        'true',
        1,
        'odd',
      ),
      Buffer.from('0100000000000000ff000000000000000000000000000000', 'hex'),
    ]);
    await expectSent(daemon, request);
    client.close();
  });

  test('derived paths are sent with !', async () => {
    const { daemon, client } = await connected(wire(LAST, 0, 0, 0, 0, 0));
    await using _ = daemon;
    await client.queryMissing([PATH, `${PATH}.drv^*`, `${PATH}.drv!x,y`]);
    const request = wire(40, 3, PATH, `${PATH}.drv!*`, `${PATH}.drv!x,y`);
    await expectSent(daemon, request);
    client.close();
  });

  test('the daemon’s own error is told plainly, and the connection goes on', async () => {
    const failure = wire(
      ERROR,
      'Error',
      0,
      'Error',
      '\u001b[31mno such\u001b[0m thing\nmore',
      0,
      1,
      0,
      'a trace',
    );
    const { daemon, client } = await connected(Buffer.concat([failure, wire(LAST, 1)]));
    await using _ = daemon;
    await expect(client.isValidPath(PATH)).rejects.toMatchObject({
      code: 'NIX_DAEMON_ERROR',
      message: 'The nix-daemon answered with an error: no such thing',
      nixMessage: 'no such thing\nmore\na trace',
    });
    expect(await client.isValidPath(PATH)).toBe(true);
    client.close();
  });

  test('a path that is none is refused before anything is sent', async () => {
    const { daemon, client } = await connected(wire(LAST, 1));
    await using _ = daemon;
    expect(() => client.queryValidPaths([PATH, '/etc/passwd'])).toThrow(
      expect.objectContaining({ code: 'NIX_BAD_STORE_PATH' }),
    );
    expect(await client.isValidPath(PATH)).toBe(true);
    client.close();
  });

  test('many queries take one round trip', async () => {
    const info = wire('', '00'.repeat(32), 0, 0, 120, 0, 0, '');
    const { daemon, client } = await connected(Buffer.concat([wire(LAST, 1), info, wire(LAST, 0)]));
    await using _ = daemon;
    const absent = PATH.replace('bar', 'absent');
    expect([...(await client.queryPathInfos([PATH, absent])).keys()]).toEqual([PATH]);
    client.close();
  });

  test('paths are found by their hash parts, many in one round trip', async () => {
    const { daemon, client } = await connected(wire(LAST, PATH, LAST, ''));
    await using _ = daemon;
    const [here, absent] = [parseStorePath(PATH).hashPart, '0'.repeat(32)];
    expect([...(await client.queryPathsFromHashParts([here, absent]))]).toEqual([[here, PATH]]);
    await expectSent(daemon, wire(29, here), wire(29, absent));
    client.close();
  });

  test('all valid paths come one by one, more than fit into one turn of the event loop', async () => {
    const paths = Array.from({ length: 2_500 }, (_, i) => PATH.replace('-bar', `-bar-${i}`));
    const { daemon, client } = await connected(wire(LAST, paths.length, ...paths, LAST, 1));
    await using _ = daemon;
    const seen: string[] = [];
    let turns = 0;
    const counter = setInterval(() => {
      turns += 1;
    }, 0);
    await client.queryAllValidPaths((count) => {
      expect(count).toBe(paths.length);
      return (path) => seen.push(path);
    });
    clearInterval(counter);
    expect(seen).toEqual(paths);
    expect(turns).toBeGreaterThan(0);
    expect(await client.isValidPath(PATH)).toBe(true);
    await expectSent(daemon, wire(23), wire(1, PATH));
    client.close();
  });

  test('what cannot be a hash part is never sent', async () => {
    const { daemon, client } = await connected(Buffer.alloc(0));
    await using _ = daemon;
    expect(() => client.queryPathsFromHashParts(['e'.repeat(32)])).toThrow(
      expect.objectContaining({ code: 'NIX_BAD_STORE_PATH' }),
    );
    expect(client.closed).toBe(false);
    client.close();
  });

  test('an archive ends where it ends, and the next answer follows', async () => {
    const { daemon, client } = await connected(Buffer.concat([wire(LAST, 1, LAST), TREE, wire(LAST, 1)]));
    await using _ = daemon;
    const chunks: Uint8Array[] = [];
    for await (const chunk of client.narFromPath(PATH)) chunks.push(Buffer.from(chunk));
    expect(Buffer.concat(chunks).equals(TREE)).toBe(true);
    expect(await client.isValidPath(PATH)).toBe(true);
    client.close();
  });

  test('an archive left early takes the connection with it', async () => {
    const { daemon, client } = await connected(Buffer.concat([wire(LAST, 1, LAST), TREE.subarray(0, 100)]));
    await using _ = daemon;
    for await (const _chunk of client.narFromPath(PATH)) break;
    expect(client.closed).toBe(true);
  });

  test('added archives are sent in frames', async () => {
    const { daemon, client } = await connected(wire(LAST, LAST, LAST, 1));
    await using _ = daemon;
    await client.addToStoreNar(INFO, [TREE.subarray(0, 500), TREE.subarray(500)], { dontCheckSigs: true });
    const info = wire(PATH, '', '00'.repeat(32), 1, PATH, 0, TREE.length, 0, 0, '');
    const one = Buffer.concat([wire(39), info, wire(0, 1, TREE.length), TREE, wire(0)]);
    await expectSent(daemon, one);

    await client.addMultipleToStore(
      [
        { info: INFO, nar: TREE },
        { info: INFO, nar: [TREE] },
      ],
      2,
    );
    const payload = Buffer.concat([wire(2), info, TREE, info, TREE]);
    const many = Buffer.concat([wire(44, 0, 0, payload.length), payload, wire(0)]);
    await expectSent(daemon, one, many);

    await client.addBuildLog(`${PATH}.drv`, Buffer.from('a line\n'));
    const log = Buffer.concat([
      wire(45, `${PATH.slice('/nix/store/'.length)}.drv`, 7),
      Buffer.from('a line\n'),
      wire(0),
    ]);
    await expectSent(daemon, one, many, log);
    client.close();
  });

  test.each([
    ['too short', [TREE.subarray(1)]],
    ['too long', [TREE, Buffer.alloc(1)]],
  ])('an archive that is %s never counts as added', async (_, nar) => {
    const { daemon, client } = await connected(Buffer.alloc(0));
    await using __ = daemon;
    await expect(client.addToStoreNar(INFO, nar)).rejects.toMatchObject({ code: 'NIX_BAD_NAR' });
    expect(client.closed).toBe(true);
  });

  test('a daemon that refuses in the middle is heard at once', async () => {
    const { daemon, client } = await connected(wire(ERROR, 'Error', 0, 'Error', 'disk full', 0, 0));
    await using _ = daemon;
    const forever = async function* (): AsyncGenerator<Uint8Array> {
      yield TREE.subarray(0, 100);
      await new Promise(() => undefined);
    };
    await expect(client.addToStoreNar(INFO, forever())).rejects.toMatchObject({ nixMessage: 'disk full' });
  });
});

describe('a connection that fails', () => {
  test.each([
    ['an unknown message', wire(12345)],
    ['a question about data nobody sends', wire(0x64617461, 8)],
    ['an error of another type', wire(ERROR, 'Failure')],
    ['a field of an unknown type', wire(RESULT, 1, 101, 1, 2)],
    ['more fields than anything has', wire(RESULT, 1, 101, 1000)],
    ['half an answer', wire(LAST).subarray(0, 4)],
    ['no answer after the messages', wire(LAST)],
    ['an answer that is neither yes nor no', wire(LAST, 2)],
  ])('%s ends it with a protocol error', async (_, answers) => {
    const { daemon, client } = await connected(answers);
    await using __ = daemon;
    await expect(client.isValidPath(PATH)).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });
    expect(client.closed).toBe(true);
    await expect(client.isValidPath(PATH)).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
  });

  test('a daemon that stops fails what runs and what waits', async () => {
    const { daemon, client } = await connected(Buffer.alloc(0));
    await using _ = daemon;
    const calls = [client.isValidPath(PATH), client.isValidPath(PATH)].map((call) => call.then());
    const outcomes = Promise.allSettled(calls);
    daemon.sockets[0]!.destroy();
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ reason: { code: 'NIX_DAEMON_CLOSED' } });
  });

  test('closing ends a running operation', async () => {
    const { daemon, client } = await connected(Buffer.alloc(0));
    await using _ = daemon;
    const call = client.isValidPath(PATH).then();
    const outcome = expect(call).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
    client.close();
    await outcome;
  });
});
