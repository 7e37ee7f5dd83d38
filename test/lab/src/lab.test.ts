import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  CommandFailed,
  HostProcess,
  IMAGES,
  Lab,
  LabError,
  nixVersionOf,
  repositoryRoot,
  requireLab,
} from './index.ts';

const trivial = `derivation {
  name = "hello"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo built by $UID > $out" ];
}`;
const endless = `derivation {
  name = "endless"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo started; sleep 100000" ];
}`;

const build = (expression: string) => ['nix-build', '--no-out-link', '-E', expression];

describe.skipIf(requireLab())('a lab', () => {
  test.each(IMAGES)('of %s hosts builds in the sandbox with that Nix, and runs our Node', async (image) => {
    await using lab = await Lab.up({ hosts: 2, image });
    const h2 = lab.host('h2');
    expect((await h2.exec(['nix', '--version'])).stdout).toContain(` ${nixVersionOf(image)}.`);
    const path = (await h2.exec(build(trivial))).stdout.trim();
    expect(path).toMatch(/^\/nix\/store\/.*-hello$/);
    expect(await h2.readFile(path)).toContain('built by');
    const node = await h2.exec([
      join(repositoryRoot, 'node_modules/.bin/node'),
      '-p',
      'process.versions.node',
    ]);
    expect(node.stdout).toMatch(/^24\./);
    // Stores are the hosts' own.
    expect((await lab.host('h1').exec(['ls', path], { check: false })).code).not.toBe(0);
  });

  test('hosts reach one another by name and nothing else', async () => {
    await using lab = await Lab.up({ hosts: 3 });
    const [h1] = lab.hosts;
    await h1!.exec(['busybox', 'ping', '-c1', 'h2']);
    await h1!.exec(['busybox', 'ping', '-c1', lab.host('h3').address]);
    expect((await h1!.exec(['hostname'])).stdout).toBe('h1\n');
    expect((await h1!.exec(['ip', 'route', 'get', '192.0.2.1'], { check: false })).stderr).toContain(
      'unreachable',
    );
    expect((await h1!.exec(['cat', '/proc/net/dev'])).stdout.match(/^ *\w+:/gm)).toHaveLength(2);
  });

  test('labs stand side by side, and a name is given once', async () => {
    await using one = await Lab.up({ hosts: 1, name: 'side-by-side' });
    await using other = await Lab.up({ hosts: 1 });
    await one.host('h1').writeFile('/root/note', 'one');
    await other.host('h1').writeFile('/root/note', 'other');
    expect(await one.host('h1').readFile('/root/note')).toBe('one');
    await expect(Lab.up({ hosts: 1, name: 'side-by-side' })).rejects.toMatchObject({
      code: 'LAB_NAME_TAKEN',
    });
    expect(await one.host('h1').readFile('/root/note')).toBe('one');
  });

  test('a host says what its commands say', async () => {
    await using lab = await Lab.up({ hosts: 1 });
    const h1 = lab.host('h1');
    const script = 'cat; echo "$WORD"; pwd; id -un; echo oops >&2; exit 3';
    const options = { input: 'in ', env: { WORD: 'word' }, cwd: '/tmp', user: 'nobody' };
    const result = await h1.exec(['sh', '-c', script], { ...options, check: false });
    expect(result).toEqual({ stdout: 'in word\n/tmp\nnobody\n', stderr: 'oops\n', code: 3 });
    const failure = await h1.exec(['sh', '-c', script], options).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandFailed);
    expect(failure).toMatchObject({ code: 'LAB_COMMAND_FAILED', exitCode: 3, stderr: 'oops\n' });
    await expect(h1.exec(['sleep', '1000'], { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'LAB_TIMEOUT',
    });
    expect(h1.processes().filter(({ args }) => args.includes('1000'))).toEqual([]);
    await h1.exec(['no-such-command'], { check: false }).then(({ code }) => expect(code).toBe(127));
  });

  test('a kill looks for its target on the host alone', async () => {
    await using lab = await Lab.up({ hosts: 1 });
    const h1 = lab.host('h1');
    // This process has its number on the machine, and none on the host.
    const { code } = await h1.exec(['kill', '-0', String(process.pid)], { check: false });
    expect(code).toBe(1);
    await h1.exec(['kill', '-0', '1']);
  });

  test('a process in the background is heard from its first line and gets its signals', async () => {
    await using lab = await Lab.up({ hosts: 1 });
    const h1 = lab.host('h1');
    const script = 'trap "echo caught; exit 7" INT; echo one; echo two; while :; do sleep 0.1; done';
    const running = h1.spawn(['sh', '-c', script]);
    expect(running).toBeInstanceOf(HostProcess);
    expect(await running.stdout.waitFor(/two/)).toBe('two');
    expect(await running.stdout.waitFor(/one/)).toBe('one');
    await running.kill('SIGINT');
    expect(await running.exited).toEqual({ code: 7 });
    const lines: string[] = [];
    for await (const line of running.stdout) lines.push(line);
    expect(lines).toEqual(['one', 'two', 'caught']);
    await expect(running.stdout.waitFor(/three/)).rejects.toMatchObject({ code: 'LAB_TIMEOUT' });
  });

  test('the daemon is reached from the machine, and can be stopped with its builds and started again', async () => {
    await using lab = await Lab.up({ hosts: 1 });
    const h1 = lab.host('h1');
    const socket = () => connect(`${h1.root}/nix/var/nix/daemon-socket/socket`);
    const connected = socket();
    await new Promise((resolve, reject) => connected.once('connect', resolve).once('error', reject));
    connected.destroy();
    // Root's Nix uses the store itself unless told to ask the daemon.
    const building = h1.spawn(build(endless), { env: { NIX_REMOTE: 'daemon' } });
    await building.stderr.waitFor(/started/);
    expect(h1.buildProcesses().map(({ name }) => name)).toContain('sleep');
    await h1.stopDaemon();
    expect((await building.exited).code).not.toBe(0);
    expect(h1.buildProcesses()).toEqual([]);
    await expect(new Promise((_, reject) => socket().once('error', reject))).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    await h1.startDaemon();
    await h1.exec(build(trivial), { env: { NIX_REMOTE: 'daemon' } });
  });

  test('a killed host is gone with all that ran on it, and boots again with its disk', async () => {
    await using lab = await Lab.up({ hosts: 2 });
    const [h1, h2] = [lab.host('h1'), lab.host('h2')];
    const path = (await h2.exec(build(trivial))).stdout.trim();
    const building = h2.spawn(build(endless));
    await building.stderr.waitFor(/started/);
    await h2.kill();
    expect((await building.exited).code).not.toBe(0);
    expect(h2.isUp).toBe(false);
    await expect(h2.exec(['true'])).rejects.toThrow(LabError);
    expect((await h1.exec(['busybox', 'ping', '-c1', '-W1', 'h2'], { check: false })).code).toBe(1);
    await h2.boot();
    await h1.exec(['busybox', 'ping', '-c1', 'h2']);
    expect(await h2.readFile(path)).toContain('built by');
    await h2.exec(build(trivial.replace('hello', 'again')));
  });

  test('a frozen host stays connected and silent until it thaws', async () => {
    await using lab = await Lab.up({ hosts: 1 });
    const h1 = lab.host('h1');
    const ticking = h1.spawn(['sh', '-c', 'while :; do echo tick; sleep 0.05; done']);
    await ticking.stdout.waitFor(/tick/);
    await h1.freeze();
    const states = () => h1.processes().map(({ state }) => state);
    expect(new Set(states())).toEqual(new Set(['T']));
    h1.thaw();
    const seen = ticking.stdout.lines.length;
    const lines = ticking.stdout[Symbol.asyncIterator]();
    for (let line = 0; line <= seen; line++) expect((await lines.next()).value).toBe('tick');
  });

  test('with sshd, root of any host logs in to any other', async () => {
    await using lab = await Lab.up({ hosts: 2, sshd: true });
    const answer = await lab.host('h1').exec(['ssh', '-o', 'BatchMode=yes', 'h2', 'hostname']);
    expect(answer.stdout).toBe('h2\n');
  });

  test('nix.conf says what was asked for', async () => {
    await using lab = await Lab.up({
      hosts: 1,
      slots: 5,
      nixConf: 'system-features = foo',
      sandboxPaths: ['/usr/share'],
    });
    const shown = (name: string) => lab.host('h1').exec(['nix', 'config', 'show', name]);
    expect((await shown('max-jobs')).stdout).toBe('5\n');
    expect((await shown('system-features')).stdout).toBe('foo\n');
    expect((await shown('sandbox-paths')).stdout).toContain('/usr/share');
  });
});
