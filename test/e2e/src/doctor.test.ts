import { type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

interface Finding {
  check: string;
  level: 'ok' | 'warning' | 'broken' | 'skipped';
  finding: string;
  mend?: string;
}

describe.skipIf(requireLab(['sid']))('mesh doctor', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let h1: Host;
  let h2: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2 });
    [h1, h2] = lab.hosts as [Host, Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  async function examine(host: Host, ...args: string[]): Promise<{ code: number; findings: Finding[] }> {
    const { code, stdout } = await mesh.run(host, ['doctor', '--json', ...args], { check: false });
    return { code, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
  }

  const of = (findings: readonly Finding[], check: string) =>
    findings.filter((finding) => finding.check === check);

  async function stopAgent(host: Host): Promise<void> {
    const agent = mesh.agents.get(host.name)!;
    await agent.kill('SIGTERM');
    await agent.exited;
  }

  test('finds nothing broken on a machine that does its part', async () => {
    const { code, findings } = await until('both clocks to be known', 60_000, async () => {
      const seen = await examine(h1);
      return of(seen.findings, 'clock')[0]?.level === 'ok' ? seen : undefined;
    });
    expect(findings.filter(({ level }) => level === 'broken')).toEqual([]);
    expect(code).toBe(0);
    for (const check of [
      'nix',
      'daemon',
      'trust',
      'sandbox',
      'agent',
      'version',
      'config',
      'state',
      'port',
      'members',
    ])
      expect(of(findings, check), check).toMatchObject([{ level: 'ok' }]);
    expect(of(findings, 'multicast')).toMatchObject([
      { level: 'ok', finding: `one agent answers on eth0 (${h1.address})` },
    ]);
    const { stdout } = await mesh.run(h1, ['doctor']);
    expect(stdout).toMatch(/^ok +Nix 2\./);
  });

  test('a daemon that is not running', async () => {
    await h1.stopDaemon();
    const { code, findings } = await examine(h1);
    await h1.startDaemon();
    expect(code).toBe(1);
    expect(of(findings, 'daemon')).toMatchObject([
      { level: 'broken', mend: expect.stringContaining('nix-daemon') },
    ]);
  });

  test('an agent whose user the daemon does not trust, and no sandbox', async () => {
    await h2.exec(['useradd', '--create-home', 'guest']);
    await h2.exec(['sh', '-c', 'sed -i "s/^sandbox = true/sandbox = false/" /etc/nix/nix.conf']);
    const agent = h2.spawn(
      ['mesh', 'agent', '--name', 'guest', '--listen', '0', '--state-dir', '/home/guest/mesh'],
      {
        user: 'guest',
      },
    );
    const asGuest = ['--state-dir', '/home/guest/mesh'];
    await until('the agent of the guest', 30_000, async () =>
      (await mesh.run(h2, ['status', ...asGuest], { check: false })).code === 0 ? true : undefined,
    );
    const { code, findings } = await examine(h2, ...asGuest);
    await agent.kill('SIGTERM');
    await agent.exited;
    expect(code).toBe(1);
    expect(of(findings, 'trust')).toMatchObject([
      { level: 'broken', mend: expect.stringContaining('trusted-users') },
    ]);
    expect(of(findings, 'sandbox')).toMatchObject([
      { level: 'warning', mend: expect.stringContaining('sandbox = true') },
    ]);
  });

  test('a full disk, a folder open to others, a wrong configuration, an agent that does not run', async () => {
    await stopAgent(h2);
    await h2.exec(['sh', '-ec', 'mount -t tmpfs -o size=64m small /var/lib/mesh; chmod 755 /var/lib/mesh']);
    await h2.writeFile('/var/lib/mesh/config.json', '{"slots": "many"}');
    const { code, findings } = await examine(h2);
    await h2.exec(['umount', '/var/lib/mesh']);
    expect(code).toBe(1);
    for (const check of ['agent', 'state', 'config', 'state-disk'])
      expect(of(findings, check), check).toMatchObject([{ level: 'broken', mend: expect.any(String) }]);
    expect(of(findings, 'config')[0]?.finding).toContain('slots');
  });

  test('a member that is on and whose agent is not, and one that is off', async () => {
    const off = await until(`${h2.name} to be missed`, 30_000, async () => {
      const [, absent] = of((await examine(h1)).findings, 'members');
      return absent;
    });
    expect(off).toMatchObject({
      level: 'warning',
      finding: expect.stringMatching(/^h2 is on and no agent listens/),
    });
    await h2.link('down');
    const [, absent] = of((await examine(h1)).findings, 'members');
    expect(absent).toMatchObject({ level: 'warning', finding: expect.stringMatching(/^h2 does not answer/) });
    await h2.link('up');
  });

  test('a machine whose cable is out', async () => {
    await h1.exec(['ip', 'link', 'set', 'eth0', 'down']);
    const { code, findings } = await examine(h1);
    expect(code).toBe(1);
    expect(of(findings, 'multicast')).toMatchObject([
      { level: 'broken', finding: 'no interface leads to a LAN', mend: expect.any(String) },
    ]);
  });
});
