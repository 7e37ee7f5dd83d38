import { type Host, type HostProcess, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sleepingBuilds, untilBuilding, untilNoBuilds } from './running-builds.ts';
import { workload } from './workload.ts';

/** As `mesh peers --json` prints it. */
interface Listed {
  members: { name: string; closed?: string; tags?: string[] }[];
}

/** What a word of the owner takes to reach another machine, on a crowded test machine. */
const HEARD_WITHIN_MS = 5_000;

describe.skipIf(requireLab(['sid']))('what its owner gives of a machine', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let lent: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2 });
    [home, lent] = lab.hosts as [Host, Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  const endless = (host: Host, n: number, seconds: number, ...more: string[]): HostProcess =>
    host.spawn([
      'mesh',
      'build',
      ...workload('endless', '--arg', 'n', `${n}`, '--argstr', 'seconds', `${seconds}`),
      '--no-link',
      ...more,
    ]);

  const listed = async (host: Host): Promise<Listed> =>
    JSON.parse((await mesh.run(host, ['peers', '--json'])).stdout) as Listed;

  const closedAt = async (host: Host): Promise<string | undefined> =>
    (await listed(host)).members.find(({ name }) => name === lent.name)?.closed;

  async function untilClosed(why: RegExp | undefined): Promise<void> {
    await until(`${home.name} to hear of ${lent.name}`, HEARD_WITHIN_MS, async () => {
      const closed = await closedAt(home);
      return (why === undefined ? closed === undefined : why.test(closed ?? '')) || undefined;
    });
  }

  /** Starts the other machine's agent anew with this of its own in `offer`. */
  async function configured(offer: object, more: object = {}): Promise<void> {
    await stopAgent();
    const all = { maxCpuPressureOfOthers: 100, maxMemoryPressure: 100, ...offer };
    await lent.writeFile('/var/lib/mesh/config.json', JSON.stringify({ ...more, offer: all }));
    await mesh.startAgent(lent);
    await mesh.untilConnected();
  }

  async function stopAgent(): Promise<void> {
    const agent = mesh.agents.get(lent.name)!;
    await agent.kill('SIGTERM');
    await agent.exited;
  }

  test('pause: the running build is finished, nothing of others begins; resume takes work up again', async () => {
    const build = endless(home, 6, 3, '--not', home.name);
    await untilBuilding([lent], 2);
    await mesh.run(lent, ['pause', '--reason', 'video call']);
    await until('the end of what ran', 20_000, () => sleepingBuilds(lent) === 0 || undefined);
    // Two are done and the others wait: a third would start within milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(sleepingBuilds(lent)).toBe(0);
    await untilClosed(/^paused by its owner \(video call\)$/);
    const { stdout: peers } = await mesh.run(home, ['peers']);
    expect(peers).toMatch(new RegExp(`${lent.name}: paused by its owner \\(video call\\)`));
    await mesh.run(lent, ['resume']);
    expect(await build.exited, build.stderr.text()).toEqual({ code: 0 });
  });

  test('a paused machine builds what is asked for on itself, also after its agent was started anew', async () => {
    await mesh.run(lent, ['pause']);
    await stopAgent();
    await mesh.startAgent(lent);
    await mesh.untilConnected();
    await untilClosed(/^paused by its owner$/);
    const { code, stderr, report } = await mesh.build(
      lent,
      workload('wide', '--arg', 'n', '3', '--argstr', 'seconds', '0', '--local'),
    );
    expect(code, stderr).toBe(0);
    expect(report?.peers.find(({ name }) => name === lent.name)?.builds).toBe(4);
    await mesh.run(lent, ['resume']);
    await untilClosed(undefined);
  });

  test('a build for which only a paused machine is left is refused, and says why', async () => {
    await mesh.run(lent, ['pause']);
    await untilClosed(/^paused/);
    const { code, stderr } = await mesh.build(home, workload('wide', '--arg', 'n', '1', '--on', lent.name));
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/takes no builds now: paused by its owner/);
    await mesh.run(lent, ['resume']);
    await untilClosed(undefined);
  });

  test('a pause for a time ends by itself', async () => {
    const { stderr } = await mesh.run(lent, ['pause', '--for', '3s']);
    expect(stderr).toMatch(/^paused until 20\d\d-/);
    await untilClosed(/^paused by its owner until/);
    await until('the end of the pause', 15_000, async () =>
      (await closedAt(home)) === undefined ? true : undefined,
    );
    const { code } = await mesh.build(home, workload('wide', '--arg', 'n', '1', '--on', lent.name));
    expect(code).toBe(0);
  });

  test('only the user of the agent pauses it', async () => {
    await lent.exec(['useradd', '--create-home', 'guest']);
    const { code, stderr } = await lent.exec(
      ['setpriv', '--reuid=guest', '--clear-groups', 'mesh', 'pause'],
      {
        check: false,
      },
    );
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/Only the user who runs the mesh agent may run `mesh pause`/);
    expect(await closedAt(lent)).toBeUndefined();
  });

  test('submitters: others are told for whom it builds; those named are served', async () => {
    await configured({ submitters: ['somebody'] }, { tags: ['rack1'] });
    const refused = await mesh.build(home, workload('wide', '--arg', 'n', '1', '--on', lent.name));
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/its owner lets it build only for somebody/);
    const own = await mesh.build(lent, workload('wide', '--arg', 'n', '1', '--local'));
    expect(own.code, own.stderr).toBe(0);
    await configured({ submitters: [home.name] }, { tags: ['rack1'] });
    const served = await mesh.build(home, workload('wide', '--arg', 'n', '1', '--on', lent.name));
    expect(served.code, served.stderr).toBe(0);
    const { members } = await listed(home);
    expect(members.find(({ name }) => name === lent.name)?.tags).toEqual(['rack1']);
  });

  test('slots for others: a limit on their builds alone', async () => {
    await configured({ slots: 1 });
    const build = endless(home, 3, 2, '--not', home.name);
    await untilBuilding([lent]);
    let most = 0;
    await until('the end of the build', 60_000, () => {
      most = Math.max(most, sleepingBuilds(lent));
      return build.stderr.text().includes('built endless-2') && sleepingBuilds(lent) === 0 ? true : undefined;
    });
    expect(await build.exited, build.stderr.text()).toEqual({ code: 0 });
    expect(most).toBe(1);
  });

  test('hours: out of them it takes nothing of others', async () => {
    const minutes = (offset: number) => {
      const at = new Date(Date.now() + offset * 60_000);
      return `${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`;
    };
    await configured({ hours: [`${minutes(120)}-${minutes(180)}`] });
    await untilClosed(/^its owner offers it .* only$/);
    const { code, stderr } = await mesh.build(home, workload('wide', '--arg', 'n', '1', '--on', lent.name));
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/takes no builds now: its owner offers it/);
    await configured({ hours: [`${minutes(-60)}-${minutes(60)}`] });
    const again = await mesh.build(home, workload('wide', '--arg', 'n', '1', '--on', lent.name));
    expect(again.code, again.stderr).toBe(0);
  });

  test('the own job has its share of a machine that others fill', async () => {
    await configured({ ownShare: 0.5 });
    const others = endless(home, 4, 1_000, '--not', home.name);
    await untilBuilding([lent], 2);
    const own = await mesh.build(
      lent,
      workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0', '--local'),
    );
    expect(own.code, own.stderr).toBe(0);
    await others.kill('SIGINT');
    await others.exited;
    await untilNoBuilds([lent], 10_000);
  });
});
