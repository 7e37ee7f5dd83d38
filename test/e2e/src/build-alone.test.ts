import { type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readStore, validOn } from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const BRINGS_ITS_OWN = 'no agent is running on this machine; this build brings its own';

/** One lab from a fresh machine to members of a mesh: the tests stand in this order. */
describe.skipIf(requireLab(['sid']))('mesh build where no agent runs', () => {
  let lab: Lab;
  let home: Host;
  let member: Host;
  let mesh: LabMesh;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2 });
    [home, member] = lab.hosts as [Host, Host];
  });
  afterAll(async () => lab?.down());

  const processes = (host: Host) => host.processes().map(({ name }) => name);

  test('on a fresh machine brings its own agent, a mesh of one, and takes it away again', async () => {
    const args = ['build', ...workload('wide', '--arg', 'n', '4', '--argstr', 'seconds', '0.3')];
    const before = processes(home).sort();
    const { stderr } = await home.exec(['mesh', ...args, '--report', '/root/r.json'], { cwd: '/root' });
    expect(stderr).toContain(BRINGS_ITS_OWN);
    const report = soundReport(JSON.parse(await home.readFile('/root/r.json')));
    expect(report.peers).toEqual([expect.objectContaining({ builds: 5 })]);
    const result = (await home.exec(['readlink', '/root/result'])).stdout.trim();
    expect(readStore(home, result)).toBe('0\n1\n2\n3\n');
    expect(processes(home).sort()).toEqual(before);
    expect((await home.exec(['mesh', 'peers'], { check: false })).code).toBe(1);
  });

  test('an agent with a state directory of its own is this machine’s while there is no other', async () => {
    const agent = member.spawn(['mesh', 'agent', '--name', 'apart', '--state-dir', '/root/apart']);
    const named = ['mesh', 'status', '--state-dir', '/root/apart'];
    await until('the agent', 20_000, async () =>
      (await member.exec(named, { check: false })).code === 0 ? true : undefined,
    );
    expect((await member.exec(['mesh', 'status'])).stdout).toContain('apart');
    await agent.kill('SIGTERM');
    expect((await agent.exited).code).toBe(0);
    expect((await member.exec(['mesh', 'status'], { check: false })).code).toBe(1);
  });

  test('by a user whom nix-daemon does not trust, too', async () => {
    await home.exec(['useradd', '--create-home', 'guest']);
    const options = { user: 'guest', cwd: '/home/guest', env: { HOME: '/home/guest' } };
    const { stderr } = await home.exec(['mesh', 'build', ...workload('multi', 'dependant')], options);
    expect(stderr).toContain(BRINGS_ITS_OWN);
    const result = (await home.exec(['readlink', '/home/guest/result'])).stdout.trim();
    expect(readStore(home, result)).toBe('library\ndocumentation\n');
    await home.exec(['nix-store', '--gc']);
    expect(await validOn(home, [result])).toEqual([result]);
  });

  test('a failed build ends with 100 and leaves no agent', async () => {
    const { code, stderr } = await home.exec(['mesh', 'build', ...workload('fail', 'failing')], {
      check: false,
    });
    expect(code).toBe(100);
    expect(stderr).toContain('this line comes before the failure');
    expect(processes(home)).not.toContain('node');
  });

  test('on a member whose agent is stopped uses the mesh it belongs to', async () => {
    mesh = await LabMesh.up(lab);
    const agent = mesh.agents.get('h1')!;
    await agent.kill();
    expect((await agent.exited).code).toBe(0);
    const { code, stderr, report } = await mesh.build(
      home,
      workload('wide', '--arg', 'n', '7', '--not', 'h1'),
    );
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(BRINGS_ITS_OWN);
    const { peers } = soundReport(report);
    expect(Object.fromEntries(peers.map(({ name, builds }) => [name, builds]))).toEqual({ h1: 0, h2: 8 });
  });

  test('and spreads over it', async () => {
    const { code, stderr, report } = await mesh.build(home, workload('wide', '--arg', 'n', '12'));
    expect(code, stderr).toBe(0);
    const { peers } = soundReport(report);
    for (const name of ['h1', 'h2']) {
      expect(peers.find((peer) => peer.name === name)?.builds, name).toBeGreaterThan(2);
    }
  });

  test('the agent that comes back is the member it was', async () => {
    await mesh.startAgent(home);
    await mesh.untilConnected();
    expect((await mesh.peers(member)).members.map(({ name }) => name).sort()).toEqual(['h1', 'h2']);
  });

  test('any user of a machine may build on its agent', async () => {
    const options = { user: 'guest', cwd: '/home/guest', env: { HOME: '/home/guest' } };
    const args = ['build', ...workload('wide', '--arg', 'n', '2'), '--not', 'h1', '-o', 'by-agent'];
    const { stderr } = await home.exec(['mesh', ...args], options);
    expect(stderr).toContain('h2: building wide-0');
    const result = (await home.exec(['readlink', '/home/guest/by-agent'])).stdout.trim();
    expect(readStore(home, result)).toBe('0\n1\n');
  });
});
