import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { type Host, IMAGES, Lab, requireLab } from '@mesh/lab';
import {
  type BuildPathsRequest,
  type ClientHandlers,
  DaemonClient,
  DEFAULT_SOCKET_PATH,
  serveDaemonClient,
} from '@mesh/nix';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

const SOCKET = '/run/stand-in.sock';
const REMOTE = { NIX_REMOTE: `unix://${SOCKET}` };
const EXPRESSIONS = `
{ salt ? "1" }:
let
  d = name: attrs: derivation ({ inherit name salt; system = builtins.currentSystem; builder = "/bin/sh"; } // attrs);
  inner = d "inner" { args = [ "-c" "echo inner $salt > $out" ]; };
in {
  outer = d "outer" { inherit inner; args = [ "-c" "echo said by the builder; echo $inner > $out" ]; };
  large = d "large" { args = [ "-c" "dd if=/dev/urandom of=$out bs=1000000 count=5" ]; };
}
`;

describe.skipIf(requireLab()).each(IMAGES)('a stand-in before the nix-daemon of %s', (image) => {
  let lab: Lab;
  let host: Host;
  let server: Server;
  let handlers: ClientHandlers = {};
  const asked: BuildPathsRequest[] = [];
  const ends: Promise<void>[] = [];

  const nix = (args: readonly string[], check = true) => host.exec(args, { env: REMOTE, check });

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 1, image });
    host = lab.host('h1');
    await host.writeFile('/root/test.nix', EXPRESSIONS);
    server = createServer((client) => {
      const served = serveDaemonClient({
        client,
        openDaemon: async () => {
          const daemon = connect(host.root + DEFAULT_SOCKET_PATH);
          await once(daemon, 'connect');
          return daemon;
        },
        handlers,
        storeDirectory: `${host.root}/nix/store`,
      });
      ends.push(served);
    });
    server.listen(host.root + SOCKET);
    await once(server, 'listening');
  });

  beforeEach(() => {
    asked.length = 0;
    handlers = {
      buildPaths: (request) => {
        asked.push(request);
        return Promise.resolve('pass');
      },
    };
  });

  afterAll(async () => {
    server?.close();
    await lab?.down();
  });

  test('a build asks the handler for what is wanted, and looks as ever', async () => {
    const { stdout, stderr } = await nix([
      'nix-build',
      '/root/test.nix',
      '-A',
      'outer',
      '--no-out-link',
      '--option',
      'timeout',
      '77',
    ]);
    expect(stdout.trim()).toMatch(/^\/nix\/store\/[0-9a-z]{32}-outer$/);
    expect(stderr).toContain('said by the builder');
    expect(asked.map(({ wanted }) => wanted)).toEqual([[expect.stringMatching(/-outer\.drv!(out|\*)$/)]]);
    expect(asked[0]?.settings.overrides.get('timeout')).toBe('77');
  });

  test('a failure that the handler gives is what the user reads', async () => {
    handlers = {
      buildPaths: ({ wanted }) =>
        Promise.resolve(
          new Map(wanted.map((path) => [path, { status: 3, errorMsg: 'nobody could build it' }])),
        ),
    };
    const build = [
      'nix-build',
      '/root/test.nix',
      '-A',
      'outer',
      '--argstr',
      'salt',
      'failing',
      '--no-out-link',
    ];
    const { code, stderr } = await nix(build, false);
    expect(code).not.toBe(0);
    expect(stderr).toContain('nobody could build it');
  });

  test('what is told while a handler works is shown', async () => {
    handlers = {
      buildPaths: (_request, talk) => {
        const id = talk.startActivity({
          level: 3,
          type: 105,
          text: 'building elsewhere',
          fields: ['x.drv', 'm', 1, 1],
        });
        talk.result(id, 101, ['a line from far away']);
        talk.stopActivity(id);
        return Promise.resolve('pass');
      },
    };
    const build = ['nix-build', '/root/test.nix', '-A', 'outer', '--argstr', 'salt', 'told', '--no-out-link'];
    expect((await nix(build)).stderr).toContain('a line from far away');
  });

  test('a walk over a closure gives what the real socket gives', async () => {
    const root = (await nix(['nix-instantiate', '/root/test.nix', '-A', 'outer'])).stdout.trim();
    const walk = ['nix', '--extra-experimental-features', 'nix-command', 'path-info', '-r', root];
    const here = await nix(walk);
    expect(here.stdout).toBe((await host.exec(walk)).stdout);
    expect(here.stdout).toContain('-inner');
  });

  test('a large NAR is the daemon’s, byte for byte', async () => {
    const build = ['nix-build', '/root/test.nix', '-A', 'large', '--no-out-link'];
    const path = (await nix(build)).stdout.trim();
    const nar = async (socket: string): Promise<Buffer> => {
      const client = await DaemonClient.connect({ socketPath: host.root + socket });
      try {
        return Buffer.concat(await Array.fromAsync(client.narFromPath(path)));
      } finally {
        client.close();
      }
    };
    expect((await nar(SOCKET)).equals(await nar(DEFAULT_SOCKET_PATH))).toBe(true);
  });

  test('a client that goes ends its build', async () => {
    const started = Promise.withResolvers<AbortSignal>();
    handlers = {
      buildPaths: (_request, talk) => {
        started.resolve(talk.signal);
        return new Promise(() => undefined);
      },
    };
    const client = host.spawn(['nix-build', '/root/test.nix', '-A', 'outer', '--argstr', 'salt', 'gone'], {
      env: REMOTE,
    });
    const signal = await started.promise;
    const aborted = once(signal, 'abort');
    client.kill('SIGKILL');
    await aborted;
  });

  test('nothing is left of all that', async () => {
    await Promise.all(ends);
    expect(ends.length).toBeGreaterThan(6);
  });
});
