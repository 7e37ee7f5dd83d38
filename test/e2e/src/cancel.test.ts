import { type Host, type HostProcess, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sleepingBuilds, untilBuilding, untilNoBuilds } from './running-builds.ts';
import { workload } from './workload.ts';

/** Cancelling takes a second at most; the rest is for a crowded test machine. */
const CANCEL_WITHIN_MS = 3_000;

describe.skipIf(requireLab(['sid']))('a build that is given up', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let third: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [home, , third] = lab.hosts as [Host, Host, Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  const endless = (host: Host, ...more: string[]): HostProcess =>
    host.spawn(['mesh', 'build', ...workload('endless', '--arg', 'n', '6', ...more), '--no-link'], {
      cwd: '/root',
    });

  async function jobStates(host: Host): Promise<string[]> {
    const { jobs } = JSON.parse((await mesh.run(host, ['jobs', '--json'])).stdout) as {
      jobs: { state: string }[];
    };
    return jobs.map(({ state }) => state);
  }

  /** All six slots of the mesh take builds again. */
  async function expectUsable(host: Host): Promise<void> {
    const { code, stderr, report } = await mesh.build(host, workload('wide', '--arg', 'n', '6'));
    expect(code, stderr).toBe(0);
    expect(report?.peers.map(({ builds }) => builds).filter((builds) => builds > 0)).toHaveLength(3);
  }

  test('by Ctrl-C ends on every machine within a second', async () => {
    const build = endless(home);
    await untilBuilding(lab.hosts, 2);
    await build.kill('SIGINT');
    await untilNoBuilds(lab.hosts, CANCEL_WITHIN_MS);
    expect(await build.exited).toEqual({ code: 130 });
    expect(build.stderr.text()).toContain('cancel');
    expect((await jobStates(home))[0]).toBe('cancelled');
    await expectUsable(home);
  });

  test('by killing its command ends on every machine within a second', async () => {
    const build = endless(home);
    await untilBuilding(lab.hosts, 2);
    await build.kill('SIGKILL');
    await untilNoBuilds(lab.hosts, CANCEL_WITHIN_MS);
    await until('the end of the job', 5_000, async () =>
      (await jobStates(home))[0] === 'cancelled' ? true : undefined,
    );
    await expectUsable(home);
  });

  test('before it is evaluated leaves no evaluation behind', async () => {
    await home.writeFile(
      '/root/slow.nix',
      "builtins.foldl' (a: b: a + b) 0 (builtins.genList (i: i) 2000000000)",
    );
    const build = home.spawn(['mesh', 'build', '-f', '/root/slow.nix', '--no-link']);
    const evaluating = () => home.processes().some(({ name }) => name.startsWith('nix-instantiat'));
    await until('the evaluation', 20_000, () => evaluating() || undefined);
    await build.kill('SIGINT');
    expect(await build.exited).toEqual({ code: 130 });
    await until('the end of the evaluation', CANCEL_WITHIN_MS, () => !evaluating() || undefined);
    expect((await jobStates(home))[0]).toBe('cancelled');
  });

  test('leaves alone what another build needs too', async () => {
    const args = workload('shared', '--argstr', 'seconds', '4');
    const left = home.spawn(['mesh', 'build', ...args, 'left', '--no-link']);
    const right = third.spawn(['mesh', 'build', ...args, 'right', '--no-link']);
    await Promise.all([left.stderr.waitFor(/building left-own/), right.stderr.waitFor(/building right-own/)]);
    await until(
      'the shared build',
      30_000,
      () => lab.hosts.some((host) => sleepingBuilds(host) > 0) || undefined,
    );
    await left.kill('SIGINT');
    expect(await left.exited).toEqual({ code: 130 });
    expect(await right.exited, right.stderr.text()).toEqual({ code: 0 });
    await untilNoBuilds(lab.hosts, CANCEL_WITHIN_MS);
  });

  test('because its agent is told to stop ends on every machine', async () => {
    const build = endless(home);
    await untilBuilding(lab.hosts, 2);
    const agent = mesh.agents.get(home.name)!;
    await agent.kill('SIGTERM');
    await untilNoBuilds(lab.hosts, CANCEL_WITHIN_MS);
    expect(await agent.exited).toEqual({ code: 0 });
    expect(await build.exited).toEqual({ code: 1 });
    expect(build.stderr.text()).toMatch(/mesh: error: .*agent/);
    await mesh.startAgent(home);
    await mesh.untilConnected();
    await expectUsable(home);
  });

  test('whose command brought its own agent ends on every machine', async () => {
    const agent = mesh.agents.get(third.name)!;
    await agent.kill('SIGTERM');
    await agent.exited;
    const build = endless(third);
    await untilBuilding(lab.hosts, 2);
    await build.kill('SIGINT');
    await untilNoBuilds(lab.hosts, CANCEL_WITHIN_MS);
    expect(await build.exited).toEqual({ code: 130 });

    const killed = endless(third);
    await untilBuilding(lab.hosts, 2);
    await killed.kill('SIGKILL');
    await untilNoBuilds([third], CANCEL_WITHIN_MS);
    await mesh.startAgent(third);
    await mesh.untilConnected();
    await expectUsable(third);
  });
});
