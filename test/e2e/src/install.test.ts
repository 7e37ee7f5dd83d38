import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { namesIn, peersSeenBy, untilConnected } from './local-api.ts';
import { workload } from './workload.ts';

/** A machine is packed, sent and started within this, on a crowded test machine. */
const INSTALL_TIMEOUT_MS = 150_000;

/** The same on every run, whatever becomes of the checkout meanwhile. */
const BUNDLE = '/tmp/mesh.tar.gz';

interface Summary {
  hosts: { host: string; result: string; member?: string; error?: string; configuration?: string }[];
}

/*
 * One story: h1 has an agent and installs others by SSH, as their root. The lab's hosts have no service manager, so that --supervise
 * keeps the agents running; they have no sudo either.
 */
describe.skipIf(requireLab(['sid', 'bookworm']))('mesh install', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let h1: Host;
  let h2: Host;
  let h3: Host;
  let before: string;

  beforeAll(async () => {
    // One of the machines has the oldest Nix that an agent can work with.
    lab = await Lab.up({ hosts: 3, sshd: true, image: ['sid', 'sid', 'bookworm'] });
    [h1, h2, h3] = lab.hosts as [Host, Host, Host];
    for (const host of [h2, h3]) {
      await host.exec(['rm', '/usr/local/bin/mesh']);
      // Nix makes its folders when it is first used.
      const root = 'nix-store --realise "$(nix-store --add /etc/hostname)" --add-root /root/kept';
      await host.exec(['sh', '-c', root]);
    }
    await h2.exec(['useradd', '--create-home', 'guest']);
    await h2.exec(['sh', '-c', 'cp -r /root/.ssh /home/guest/ && chown -R guest /home/guest/.ssh']);
    const made = mkdtempSync(join(tmpdir(), 'mesh-bundle-'));
    const script = fileURLToPath(new URL('../../../scripts/bundle.mjs', import.meta.url));
    const file = execFileSync(process.execPath, [script, '--out', made], { encoding: 'utf8', stdio: 'pipe' });
    copyFileSync(file.trim(), `${h1.root}${BUNDLE}`);
    rmSync(made, { recursive: true });
    before = await everyFile(h2);
    mesh = await LabMesh.up(lab, { join: false, hosts: [h1] });
  });
  afterAll(async () => lab?.down());

  /** `mesh install ARGS --json`, without a terminal. */
  async function install(...args: string[]): Promise<{ code: number; summary: Summary; stderr: string }> {
    const { code, stdout, stderr } = await mesh.run(h1, ['install', '--json', '--bundle', BUNDLE, ...args], {
      check: false,
      timeoutMs: INSTALL_TIMEOUT_MS,
    });
    expect(stdout, stderr).toMatch(/^\{/);
    return { code, summary: JSON.parse(stdout) as Summary, stderr };
  }

  /** Every file of a host with its kind, mode, owner and size; not of what each program changes as it runs. */
  async function everyFile(host: Host): Promise<string> {
    const script = `cd / && find . -xdev \\( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./var/log \\) -prune \
      -o \\( -type d -printf '%p %y %m %u\\n' \\) -o -printf '%p %y %m %u %l\\n'
      find /run /nix/var/nix/gcroots /nix/var/nix/profiles -printf '%p %y %m %u\\n'
      cat /etc/nix/nix.conf /etc/passwd /etc/group`;
    const { stdout } = await host.exec(['sh', '-c', script]);
    // Copies that useradd and userdel leave of what they change.
    const kept =
      /^\.\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)(-|\.lock)? |daemon-socket|\/run\/motd|\/var\/cache/;
    return stdout
      .split('\n')
      .filter((line) => !kept.test(line))
      .sort()
      .join('\n');
  }

  test('puts agents on two machines at once, a line a step, and they are members', async () => {
    const { code, summary, stderr } = await install('root@h2', 'root@h3', '--supervise');
    expect(code, stderr).toBe(0);
    expect(summary.hosts).toMatchObject([
      { host: 'root@h2', result: 'installed', member: 'h2' },
      { host: 'root@h3', result: 'installed', member: 'h3' },
    ]);
    for (const host of ['root@h2', 'root@h3']) {
      const steps = stderr
        .split('\n')
        .filter((line) => line.startsWith(host))
        .map((line) => line.split(/ +/)[1]);
      expect(steps).toEqual('connect probe copy user trust activate service firewall join seen'.split(' '));
    }
    await untilConnected([h1]);
    expect(namesIn(await peersSeenBy(h1))).toEqual(['h1', 'h2', 'h3']);
  });

  test('the agents run as a user of their own, whom nix-daemon trusts, and build for others', async () => {
    for (const host of [h2, h3]) {
      const { stdout } = await host.exec([
        'sh',
        '-c',
        'ps -o user= -p "$(pgrep -f "main.js agent" | head -n 1)"',
      ]);
      expect(stdout.trim()).toBe('mesh');
      const on = await mesh.build(h1, workload('wide', '--arg', 'n', '2', '--on', host.name));
      expect(on.code, on.stderr).toBe(0);
    }
  });

  test('plain Nix of other users goes through the agent there with their own rights', async () => {
    const trusted = async (user: string) => {
      const command = ['nix', 'store', 'info', '--json', '--store', 'unix:///run/mesh/nix.sock'];
      return (JSON.parse((await h2.exec(command, { user })).stdout) as { trusted: unknown }).trusted;
    };
    for (const user of ['root', 'guest', 'root'])
      expect(Boolean(await trusted(user)), user).toBe(user === 'root');
  });

  test('again, it is up to date and touches nothing', async () => {
    const agent = async () => (await h2.exec(['cat', '/run/mesh/supervisor.pid'])).stdout;
    const ran = await agent();
    const { code, summary, stderr } = await install('root@h2', '--supervise');
    expect(code, stderr).toBe(0);
    expect(summary.hosts).toMatchObject([{ result: 'up to date', member: 'h2' }]);
    expect(stderr).not.toMatch(/copied|started/);
    expect(await agent()).toBe(ran);
  });

  test('an installed machine can install others: it copies itself', async () => {
    const { stdout } = await h3.exec(['mesh', 'install', 'root@h2', '--supervise', '--json']);
    expect((JSON.parse(stdout) as Summary).hosts).toMatchObject([{ result: 'up to date', member: 'h2' }]);
  });

  test('an older version is replaced, and the member stays who it is', async () => {
    const { members } = await peersSeenBy(h1);
    const peerId = members.find(({ name }) => name === 'h2')!.peerId;
    // As if what runs there were another one.
    await h2.exec([
      'sh',
      '-c',
      'cd /opt/mesh && mv versions/* versions/0.0.1-old && ln -sfn versions/0.0.1-old current',
    ]);
    const { code, summary, stderr } = await install('root@h2', '--supervise');
    expect(code, stderr).toBe(0);
    expect(summary.hosts).toMatchObject([{ result: 'installed', member: 'h2' }]);
    expect(stderr).toMatch(/removed 0\.0\.1-old/);
    expect((await peersSeenBy(h1)).members.find(({ name }) => name === 'h2')?.peerId).toBe(peerId);
    const { stdout } = await h2.exec(['ls', '/opt/mesh/versions']);
    expect(stdout.trim().split('\n')).toHaveLength(1);
  });

  test('uninstalled, nothing is left of it, and it is no member', async () => {
    const { code, summary, stderr } = await install('root@h2', '--uninstall');
    expect(code, stderr).toBe(0);
    expect(summary.hosts).toMatchObject([{ result: 'uninstalled' }]);
    expect(namesIn(await peersSeenBy(h1))).toEqual(['h1', 'h3']);
    expect(await everyFile(h2)).toBe(before);
    const again = await install('root@h2', '--uninstall');
    expect(again.code, again.stderr).toBe(0);
    expect(await everyFile(h2)).toBe(before);
  });

  test('broken off at any step, it is finished by the next run', async () => {
    for (const step of ['probe', 'copy', 'user', 'trust', 'activate', 'service', 'join']) {
      const running = h1.spawn(['mesh', 'install', 'root@h2', '--supervise', '--bundle', BUNDLE]);
      // The line says that this step is over: the next one has begun.
      await until(`the step ${step}`, INSTALL_TIMEOUT_MS, () => {
        if (new RegExp(`  ${step} `).test(running.stderr.text())) return true;
        return running.stderr.text().includes('  failed ') ? true : undefined;
      });
      await running.kill('SIGKILL');
      await running.exited;
      expect(running.stderr.text()).not.toContain('  failed ');
    }
    const { code, summary, stderr } = await install('root@h2', '--supervise');
    expect(code, stderr).toBe(0);
    expect(summary.hosts).toMatchObject([{ member: 'h2' }]);
    const { stdout } = await h2.exec(['ls', '-A', '/opt/mesh/versions']);
    expect(stdout.trim().split('\n')).toHaveLength(1);
  });

  test('a machine without Nix, or a user who cannot become root, is left as it is, in a sentence', async () => {
    const guest = await install('guest@h2', '--supervise', '--identity', '/root/.ssh/id_ed25519');
    expect(guest.code).toBe(1);
    expect(guest.summary.hosts[0]?.error).toMatch(/not root and there is no sudo; connect as root/);

    await h3.exec(['sh', '-c', 'mv /usr/bin/nix-store /usr/bin/nix-store.away']);
    const { code, summary } = await install('root@h3', '--supervise');
    await h3.exec(['sh', '-c', 'mv /usr/bin/nix-store.away /usr/bin/nix-store']);
    expect(code).toBe(1);
    expect(summary.hosts[0]?.error).toMatch(/it has no Nix; install it first/);
    const unmanaged = await install('root@h3');
    expect(unmanaged.summary.hosts[0]?.error).toMatch(/neither systemd nor launchd; say --supervise/);
  });

  test('of NixOS nothing is changed: the configuration to add is told', async () => {
    await h3.exec(['touch', '/etc/NIXOS']);
    const { code, summary } = await install('root@h3');
    await h3.exec(['rm', '/etc/NIXOS']);
    expect(code).toBe(0);
    expect(summary.hosts).toMatchObject([
      { result: 'nixos', configuration: expect.stringMatching(/services\.mesh = \{\n +enable = true;/) },
    ]);
    expect(summary.hosts[0]?.configuration).toContain('mesh invite | ssh -p 22 root@h3 mesh join');
  });

  test('a host key that changed is refused, and one nobody knows without a terminal', async () => {
    await h1.exec(['sh', '-c', 'sed -i "s/^/h9,/" /etc/ssh/ssh_known_hosts']);
    await h3.exec(['sh', '-c', 'ssh-keygen -q -t ed25519 -N "" -f /tmp/other </dev/null']);
    const { stdout: other } = await h3.exec(['cat', '/tmp/other.pub']);
    await h1.exec(['sh', '-c', `printf 'h3 %s\\n' "$1" >/etc/ssh/ssh_known_hosts`, 'sh', other.trim()]);
    const changed = await install('root@h3', '--supervise');
    expect(changed.code).toBe(1);
    expect(changed.summary.hosts[0]?.error).toMatch(/chang/i);
    const unknown = await install('root@h2', '--supervise');
    expect(unknown.code).toBe(1);
    const { stdout: key } = await h2.exec(['ssh-keygen', '-lf', '/etc/ssh/ssh_host_ed25519_key']);
    const pinned = await install('root@h2', '--supervise', '--host-key', key.split(' ')[1]!);
    expect(pinned.code, pinned.stderr).toBe(0);
  });
});
