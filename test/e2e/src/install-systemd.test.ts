import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Host, Lab, LabMesh, requireLab, until, withoutSystemd } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memberIn, namesIn, peersSeenBy, untilSeen } from './local-api.ts';
import { workload } from './workload.ts';

const INSTALL_TIMEOUT_MS = 150_000;
const PATIENCE_MS = 60_000;
const BUNDLE = '/tmp/mesh.tar.gz';
const PASSWORD = 'correct horse';

interface Summary {
  hosts: { host: string; result: string; member?: string; error?: string }[];
}

/*
 * One story: h1 installs the agent on h2, whose init is systemd itself, with Debian's own units of nix-daemon and sshd, by a user
 * whose sudo asks for a password. What runs there then is the unit as it is shipped, hardening and all.
 */
describe.skipIf(requireLab(['sid', 'systemd']) ?? withoutSystemd())('mesh install on systemd', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let h1: Host;
  let h2: Host;
  let before: string;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2, sshd: true, image: ['sid', 'systemd'] });
    [h1, h2] = lab.hosts as [Host, Host];
    await h2.exec(['rm', '/usr/local/bin/mesh']);
    // Debian lets this group through to nix-daemon, and nobody else: not the user who logs in, either.
    await h2.exec(['useradd', '--create-home', '--groups', 'nix-users', 'guest']);
    await h2.exec(['useradd', '--create-home', '--groups', 'sudo', 'admin']);
    await h2.exec(['chpasswd'], { input: `admin:${PASSWORD}\n` });
    await h2.exec(['sh', '-c', 'cp -r /root/.ssh /home/admin/ && chown -R admin /home/admin/.ssh']);
    await untilUp();
    const made = mkdtempSync(join(tmpdir(), 'mesh-bundle-'));
    const script = fileURLToPath(new URL('../../../scripts/bundle.mjs', import.meta.url));
    const file = execFileSync(process.execPath, [script, '--out', made], { encoding: 'utf8', stdio: 'pipe' });
    copyFileSync(file.trim(), `${h1.root}${BUNDLE}`);
    rmSync(made, { recursive: true });
    before = await traces();
    mesh = await LabMesh.up(lab, { join: false, hosts: [h1] });
  });
  afterAll(async () => lab?.down());

  async function untilUp(): Promise<void> {
    await until('systemd to be done with booting', PATIENCE_MS, async () =>
      (await systemctl('is-system-running')).trim() === 'running' ? true : undefined,
    );
  }

  async function systemctl(...args: string[]): Promise<string> {
    return (await h2.exec(['systemctl', ...args], { check: false })).stdout;
  }

  /** What systemd says of the unit. */
  async function property(name: string): Promise<string> {
    return (await systemctl('show', '--value', '--property', name, 'mesh.service')).trim();
  }

  async function untilActive(): Promise<string> {
    return until('mesh.service to be active', PATIENCE_MS, async () => {
      const pid = await property('MainPID');
      return (await property('ActiveState')) === 'active' && pid !== '0' ? pid : undefined;
    });
  }

  const untilConnected = () =>
    untilSeen(h1, 'h2 connected', ({ members }) =>
      members.some(({ name, connected }) => name === 'h2' && connected),
    );

  async function install(
    password: string | undefined,
    ...args: string[]
  ): Promise<{ code: number; summary: Summary; stderr: string }> {
    const asked = password === undefined ? [] : ['--ask-sudo-password'];
    const { code, stdout, stderr } = await mesh.run(
      h1,
      ['install', '--json', '--bundle', BUNDLE, 'admin@h2', ...asked, ...args],
      { check: false, timeoutMs: INSTALL_TIMEOUT_MS, input: `${password ?? ''}\n` },
    );
    expect(stdout, stderr).toMatch(/^\{/);
    return { code, summary: JSON.parse(stdout) as Summary, stderr };
  }

  /** Everything that has the mesh in its name, what systemd has enabled, and the files that an installation adds to. */
  async function traces(): Promise<string> {
    const script = `find / -xdev \\( -path /proc -o -path /sys -o -path "$1" \\) -prune -o -name '*mesh*' -print
      find /run /nix/var -name '*mesh*'
      find /etc/systemd | sort
      cat /etc/nix/nix.conf /etc/passwd /etc/group
      ps -e -o user= | grep mesh || true`;
    const repository = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
    return (await h2.exec(['sh', '-c', script, 'sh', repository])).stdout;
  }

  test('sudo that asks and gets no password, or a wrong one, changes nothing', async () => {
    const none = await install(undefined);
    expect(none.code).toBe(1);
    expect(none.summary.hosts[0]?.error).toMatch(/sudo asks for a password there; say --ask-sudo-password/);
    const wrong = await install('wrong');
    expect(wrong.code).toBe(1);
    expect(wrong.summary.hosts[0]?.error).toMatch(/password/i);
    expect(await traces()).toBe(before);
  });

  test('one that fails does not keep the others from being installed', async () => {
    const { code, summary, stderr } = await install(PASSWORD, 'root@10.77.0.99');
    expect(code).toBe(1);
    expect(summary.hosts, stderr).toMatchObject([
      { host: 'admin@h2', result: 'installed', member: 'h2' },
      { host: 'root@10.77.0.99', result: 'failed', error: expect.any(String) },
    ]);
    expect(stderr).toMatch(/started the agent \(systemd\)/);
    expect(await systemctl('is-enabled', 'mesh.service')).toBe('enabled\n');
  });

  test('the unit as it is shipped: its own user, two capabilities, no new ones, system calls filtered', async () => {
    const pid = await untilActive();
    const status = await h2.readFile(`/proc/${pid}/status`);
    const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1];
    const uid = (await h2.exec(['id', '-u', 'mesh'])).stdout.trim();
    expect(field('Uid')).toBe(uid);
    for (const set of ['CapEff', 'CapBnd', 'CapAmb'])
      expect(Number.parseInt(field(set)!, 16), set).toBe(0xc0);
    expect(field('NoNewPrivs')).toBe('1');
    expect(field('Seccomp')).toBe('2');
    const mounts = await h2.readFile(`/proc/${pid}/mounts`);
    expect(mounts).toMatch(/^\S+ \/ \S+ ro[, ]/m);
    expect(mounts).toMatch(/^\S+ \/var\/lib\/mesh \S+ rw[, ]/m);
  });

  test('it builds for others there, and gives plain Nix each user its own rights', async () => {
    const on = await mesh.build(h1, workload('wide', '--arg', 'n', '2', '--on', 'h2'));
    expect(on.code, on.stderr).toBe(0);
    expect(on.report?.derivations.every(({ peer }) => peer === 'h2')).toBe(true);
    for (const user of ['root', 'guest']) {
      const store = ['--json', '--store', 'unix:///run/mesh/nix.sock'];
      const { stdout } = await h2.exec(['nix', 'store', 'ping', ...store], { user });
      expect(Boolean((JSON.parse(stdout) as { trusted: unknown }).trusted), user).toBe(user === 'root');
    }
    const built = await h2.exec(
      ['nix-build', '--no-out-link', ...workload('wide', '--arg', 'n', '2').slice(1)],
      { user: 'guest', check: false, env: { NIX_REMOTE: 'unix:///run/mesh/nix.sock' } },
    );
    expect(built.code, built.stderr).toBe(0);
  });

  test('killed, it is back by itself; stopped, it is gone without a trace of failure', async () => {
    const first = await untilActive();
    await systemctl('kill', '--signal=KILL', '--kill-whom=main', 'mesh.service');
    await until('another agent', PATIENCE_MS, async () =>
      (await untilActive()) !== first ? true : undefined,
    );
    await untilConnected();
    expect(await property('NRestarts')).toBe('1');
    await h2.exec(['systemctl', 'stop', 'mesh.service']);
    expect(await property('Result')).toBe('success');
    expect(await property('ActiveState')).toBe('inactive');
    expect((await h2.exec(['pgrep', '-u', 'mesh'], { check: false })).stdout).toBe('');
    expect(memberIn(await peersSeenBy(h1), 'h2').connected).toBe(false);
  });

  test('after a reboot of the machine it is a member again', async () => {
    await h2.kill();
    await h2.boot();
    await untilConnected();
    await untilUp();
    expect(await property('NRestarts')).toBe('0');
  });

  test('where nix-daemon stops trusting the agent, its log, status and doctor say so, and how to mend it', async () => {
    await h2.exec(['sed', '-i.kept', '/extra-trusted-users = mesh/d', '/etc/nix/nix.conf']);
    await h2.exec(['systemctl', 'restart', 'nix-daemon.service', 'mesh.service']);
    await untilActive();
    await untilConnected();
    const status = await h2.exec(['mesh', 'status']);
    expect(status.stdout).toMatch(/does not trust .*trusted-users/);
    const { code, stdout } = await h2.exec(['mesh', 'doctor'], { check: false });
    expect(code).toBe(1);
    expect(stdout).toMatch(/BROKEN +nix-daemon does not trust the agent's user.*\n +-> .*trusted-users/);
    const log = await h2.exec(['journalctl', '--unit', 'mesh.service', '--no-pager']);
    expect(log.stdout).toMatch(/not trust/);
    await h2.exec(['mv', '/etc/nix/nix.conf.kept', '/etc/nix/nix.conf']);
    await h2.exec(['systemctl', 'restart', 'nix-daemon.service', 'mesh.service']);
    await untilActive();
    await untilConnected();
  });

  test('uninstalled, nothing is left of it, and it is no member', async () => {
    const { code, summary, stderr } = await install(PASSWORD, '--uninstall');
    expect(code, stderr).toBe(0);
    expect(summary.hosts).toMatchObject([{ result: 'uninstalled' }]);
    expect(namesIn(await peersSeenBy(h1))).toEqual(['h1']);
    expect(await traces()).toBe(before);
    expect(await systemctl('list-units', '--all', '--no-legend', '*mesh*')).toBe('');
    expect((await systemctl('is-system-running')).trim()).toBe('running');
  });
});
