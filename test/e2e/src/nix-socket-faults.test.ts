import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type ExecResult, type Host, type HostProcess, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readStore } from './host-store.ts';
import { sleepingBuilds, untilBuilding, untilNoBuilds } from './running-builds.ts';
import { workload } from './workload.ts';

const SOCKET = '/run/mesh/nix.sock';
const NIX_REMOTE = `NIX_REMOTE=unix://${SOCKET}`;
/** Generous, for a crowded test machine. */
const WITHIN_MS = 120_000;

describe.skipIf(requireLab(['sid']))('bad clients at the daemon socket of an agent', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2 });
    home = lab.hosts[0]!;
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  const nix = (command: readonly string[]): Promise<ExecResult> =>
    home.exec(['env', NIX_REMOTE, ...command], { check: false, timeoutMs: WITHIN_MS, cwd: '/root' });
  const start = (command: readonly string[]): HostProcess =>
    home.spawn(['env', NIX_REMOTE, ...command], { cwd: '/root' });
  const jobs = async (): Promise<{ id: string; state: string }[]> =>
    JSON.parse((await mesh.run(home, ['jobs', '--json'])).stdout).jobs;
  const builds = async (): Promise<void> => {
    const { code, stdout, stderr } = await nix([
      'nix-build',
      ...workload('wide', '--arg', 'n', '2').slice(1),
      '--no-out-link',
    ]);
    expect(code, stderr).toBe(0);
    expect(readStore(home, stdout.trim())).toBe('0\n1\n');
  };
  const open = async (): Promise<Socket> => {
    const socket = connect(`${home.root}${SOCKET}`);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };

  test('half a build request, broken off anywhere, is no build', async () => {
    const drv = (await nix(['nix-instantiate', ...workload('wide').slice(1)])).stdout.trim();
    const before = (await jobs()).length;
    const request = wire(46, 1, `${drv}!out`, 0);
    for (let cut = 0; cut < HELLO.length + request.length; cut += 8) {
      const socket = await open();
      socket.end(Buffer.concat([HELLO, request]).subarray(0, cut));
      await ended(socket);
    }
    expect(await jobs()).toHaveLength(before);
    await builds();
  });

  test('what is no protocol, or an operation that there is not, ends its own connection alone', async () => {
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.concat([HELLO, wire(9_999, 'x')]),
      // Twice the longest string that anything real has.
      Buffer.concat([HELLO, wire(1, 2 ** 31)]),
      Buffer.concat([HELLO, wire(46, 2 ** 40)]),
    ]) {
      const socket = await open();
      socket.write(bytes);
      await ended(socket);
    }
    await builds();
  });

  test('a client that is killed ends its builds everywhere', async () => {
    const client = start(['nix', 'build', ...workload('endless', '--arg', 'n', '4'), '--no-link']);
    await untilBuilding(lab.hosts, 1);
    await client.kill('SIGKILL');
    await untilNoBuilds(lab.hosts, 15_000);
    await until(
      'the end of the job',
      15_000,
      async () => (await jobs())[0]?.state === 'cancelled' || undefined,
    );
  });

  test('what two clients wait for goes on when one of them is killed', async () => {
    const command = [
      'nix-build',
      ...workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '10').slice(1),
    ];
    const [one, other] = [start([...command, '--no-out-link']), start([...command, '--no-out-link'])];
    await until('both jobs', WITHIN_MS, async () => {
      const running = (await jobs()).filter(({ state }) => state === 'running');
      return running.length === 2 || undefined;
    });
    await until('builds', WITHIN_MS, () => lab.hosts.some((host) => sleepingBuilds(host) > 0) || undefined);
    await one.kill('SIGKILL');
    const { code } = await other.exited;
    expect(code, other.stderr.text()).toBe(0);
  });

  test('a client that reads nothing for a while holds nobody up, and is told what it missed', async () => {
    const lines = 60_000;
    const args = workload('noisy', '--arg', 'lines', `${lines}`);
    const slow = start(['nix', 'build', '-L', ...args, '--no-link']);
    await until('its first lines', WITHIN_MS, () => slow.stderr.text().includes('line 1 of') || undefined);
    await slow.kill('SIGSTOP');
    await builds();
    await slow.kill('SIGCONT');
    expect((await slow.exited).code).toBe(0);
    const shown = slow.stderr.text().match(/> line \d+ of/g) ?? [];
    const [, missed = '0'] = /(\d+) lines of the log are left out here/.exec(slow.stderr.text()) ?? [];
    expect(shown.length + Number(missed)).toBe(lines);
    const drv = (await nix(['nix-instantiate', ...args.slice(1)])).stdout.trim();
    expect((await nix(['nix', 'log', drv])).stdout.match(/^line \d+ of/gm)).toHaveLength(lines);
  });

  test('two hundred clients at once are served', async () => {
    const path = (await nix(['nix-instantiate', ...workload('multi').slice(1), '-A', 'multi'])).stdout.trim();
    const half = await open();
    half.write(HELLO.subarray(0, 4));
    const script = `for i in $(seq 200); do nix-store --query --references ${path} >/dev/null 2>/tmp/err-$i & pids="$pids $!"; done
      for p in $pids; do wait $p || bad=1; done; [ -z "$bad" ]`;
    expect((await nix(['sh', '-c', script])).code).toBe(0);
    half.destroy();
    await builds();
  });
});

/** Numbers and strings as Nix writes them. */
function wire(...values: readonly (number | string)[]): Buffer {
  return Buffer.concat(
    values.map((value) => {
      if (typeof value === 'number') {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64LE(BigInt(value));
        return bytes;
      }
      const text = Buffer.from(value);
      return Buffer.concat([wire(text.length), text, Buffer.alloc((8 - (text.length % 8)) % 8)]);
    }),
  );
}

/** A client's part of the handshake of 1.38, without features. */
const HELLO = wire(0x6e697863, 0x126, 0, 0, 0);

async function ended(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await once(socket, 'close');
}
