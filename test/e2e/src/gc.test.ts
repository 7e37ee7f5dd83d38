import { existsSync, readdirSync } from 'node:fs';
import { type Host, type HostProcess, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { builtOn, closureOn, readStore, validOn } from './host-store.ts';
import { untilConnected } from './local-api.ts';
import { workload } from './workload.ts';

const STATE_DIR = '/var/lib/mesh';

describe.skipIf(requireLab(['sid']))('garbage collection on machines of a mesh', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let second: Host;
  let third: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [home, second, third] = lab.hosts as [Host, Host, Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());
  beforeEach(() => untilConnected(lab.hosts));

  const collect = (host: Host) => host.exec(['nix-store', '--gc']);

  async function restart(
    host: Host,
    meanwhile: () => Promise<unknown> = async () => undefined,
  ): Promise<void> {
    const agent = mesh.agents.get(host.name)!;
    await agent.kill('SIGTERM');
    await agent.exited;
    await meanwhile();
    await mesh.startAgent(host);
    await untilConnected(lab.hosts);
  }

  /** A path's bytes and its closure are what Nix has written down, and no valid path misses what it refers to. */
  async function expectSound(host: Host): Promise<void> {
    const { stderr } = await host.exec(['nix-store', '--verify', '--check-contents']);
    expect(stderr).not.toMatch(/modified|disappeared|missing|error/);
  }

  /** Builds that one output on a host behind the mesh's back; nothing roots it there. */
  async function builtBehind(host: Host, args: readonly string[]): Promise<string> {
    return (await host.exec(['nix-build', ...args.slice(1), '--no-out-link'])).stdout.trim();
  }

  test('that never stops, on all of them: a build of many small parts comes out right', async () => {
    const collectors = lab.hosts.map(
      (host): HostProcess =>
        host.spawn(['sh', '-c', 'while nix-store --gc >/dev/null 2>&1; do sleep 0.1; done']),
    );
    const args = workload('layers', '--arg', 'layers', '8', '--arg', 'width', '8');
    const { code, stderr } = await mesh.build(home, [...args, '-o', '/root/layers']);
    const chain = await mesh.build(second, workload('chain', '--arg', 'n', '12'));
    for (const collector of collectors) await collector.kill('SIGKILL');
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/error/);
    expect(chain.code, chain.stderr).toBe(0);
    const [top] = (await home.exec(['readlink', '/root/layers'])).stdout.trim().split('\n');
    // All eight layers of eight, and itself.
    expect(await closureOn(home, top!)).toHaveLength(65);
    expect(readStore(home, top!)).toMatch(/^layers \/nix\/store\/\S+-layer-7-0 /);
    const builders = new Set<string>();
    for (const path of await closureOn(home, top!)) {
      for (const name of await builtOn(lab.hosts, path)) builders.add(name);
    }
    expect(builders.size).toBeGreaterThan(1);
    await Promise.all(lab.hosts.map((host) => expectSound(host)));
  });

  describe('what was built for others', () => {
    let path: string;
    const keptLinks = (host: Host): string[] => readdirSync(`${host.root}${STATE_DIR}/kept`);

    beforeAll(async () => {
      const args = workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0');
      const { code, stderr, stdout } = await mesh.build(home, [...args, '--on', 'h2', '--print-out-paths']);
      expect(code, stderr).toBe(0);
      path = stdout.trim();
      await until(
        'the kept result',
        10_000,
        async () => keptLinks(second).includes(path.slice('/nix/store/'.length)) || undefined,
      );
    });

    test('is kept and fetched under the longest name there may be', async () => {
      // What is left of 211 characters for a derivation's output, whose `.drv` is one of them too.
      const name = 'n'.repeat(207);
      const expression = `derivation { name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh";
        args = [ "-c" "echo long > $out" ]; }`;
      await home.writeFile('/root/long.nix', expression);
      const { code, stderr, stdout } = await mesh.build(home, [
        ...['-f', '/root/long.nix', '--on', 'h2', '--print-out-paths'],
      ]);
      expect(code, stderr).toBe(0);
      expect(readStore(home, stdout.trim())).toBe('long\n');
      await until(
        'its link',
        10_000,
        async () => keptLinks(second).some((link) => link.endsWith(name)) || undefined,
      );
    });

    test('stays where it was built when its home is gone, and over a restart', async () => {
      await restart(home, async () => {
        await collect(second);
        expect(await validOn(second, [path])).toEqual([path]);
        await restartAlone(second);
        await collect(second);
        expect(await validOn(second, [path])).toEqual([path]);
      });
    });

    test('stays no longer than its machine’s owner says', async () => {
      await restart(home, async () => {
        await second.writeFile(
          `${STATE_DIR}/config.json`,
          '{ "configVersion": 1, "keep": { "maxBytes": 0 } }',
        );
        await restartAlone(second);
        await until('an empty folder', 10_000, async () => keptLinks(second).length === 0 || undefined);
        await collect(second);
        expect(await validOn(second, [path])).toEqual([]);
        await second.exec(['rm', `${STATE_DIR}/config.json`]);
        await restartAlone(second);
      });
    });

    /** As `restart`, while another agent is down. */
    async function restartAlone(host: Host): Promise<void> {
      const agent = mesh.agents.get(host.name)!;
      await agent.kill('SIGTERM');
      await agent.exited;
      await mesh.startAgent(host);
    }
  });

  test('of what a home’s running job still needs waits, whatever the limits', async () => {
    await restart(third, () =>
      third.writeFile(`${STATE_DIR}/config.json`, '{ "configVersion": 1, "keep": { "maxBytes": 0 } }'),
    );
    const args = workload('late', '--arg', 'n', '4', '--argstr', 'seconds', '4');
    const build = home.spawn(['mesh', 'build', ...args, 'late', '--on', 'h3', '--no-link', '-L']);
    await build.stderr.waitFor(/slow runs/);
    // Longer than what a build's own connection roots.
    for (let round = 0; round < 3; round += 1) await third.exec(['sh', '-c', 'sleep 1; nix-store --gc']);
    const { code } = await build.exited;
    expect(code, build.stderr.text()).toBe(0);
    expect(build.stderr.text()).not.toMatch(/warning|elsewhere/);
  });

  describe('at a machine that gives', () => {
    test('leaves alone what it told another of: the whole closure arrives', async () => {
      const args = workload(
        'layers',
        '--arg',
        'layers',
        '5',
        '--arg',
        'width',
        '5',
        '--argstr',
        'seconds',
        '0',
      );
      const top = await builtBehind(second, args);
      await second.net('rate 1mbit delay 100ms');
      try {
        const building = mesh.build(home, [...args, '--not', 'h3']);
        const collector = second.spawn(['sh', '-c', 'sleep 0.8; while nix-store --gc; do :; done']);
        const { code, stderr } = await building;
        await collector.kill('SIGKILL');
        expect(code, stderr).toBe(0);
        expect(await closureOn(home, top)).toHaveLength(26);
      } finally {
        await second.net(undefined);
      }
      await expectSound(home);
    });

    test('may have taken what was counted on: it is built anew', async () => {
      const args = workload('late', '--arg', 'n', '1', '--argstr', 'seconds', '3');
      const leaf = await builtBehind(second, [...args, '-A', 'leaves']);
      const build = home.spawn([
        'mesh',
        'build',
        ...args,
        'late',
        '--no-link',
        '--print-out-paths',
        '--on',
        'h1',
      ]);
      // Planned by now, with the second machine as the one that has the leaf; needed when the slow part is done.
      await until('the slow part', 20_000, async () =>
        home.buildProcesses().some(({ name }) => name === 'sleep') ? true : undefined,
      );
      await second.exec(['nix-store', '--delete', '--ignore-liveness', leaf], { check: false });
      const { code } = await build.exited;
      expect(code, build.stderr.text()).toBe(0);
      expect(readStore(home, build.stdout.lines[0]!)).toContain('0\n');
    });
  });

  describe('with a fetch that ends in the middle', () => {
    /** Fetches 64 MiB from a slow machine; returns when they are coming in. */
    async function fetching(args: readonly string[]): Promise<{ build: HostProcess; big: string }> {
      const big = await builtBehind(second, [...args, '-A', 'big']);
      await second.net('rate 100mbit');
      const build = home.spawn(['mesh', 'build', ...args, 'big', '--no-link', '--not', 'h3']);
      await until('the bytes', 20_000, async () => existsSync(home.root + big) || undefined);
      return { build, big };
    }

    async function expectWhole(args: readonly string[], big: string): Promise<void> {
      await second.net(undefined);
      expect(await validOn(home, [big])).toEqual([]);
      await expectSound(home);
      await collect(home);
      const { code, stderr } = await mesh.build(home, [...args, 'big']);
      expect(code, stderr).toBe(0);
      await home.exec(['nix-store', '--verify-path', big]);
    }

    test('because the agent was killed: nothing of it is valid, and the next one brings it', async () => {
      const args = workload('big', '--arg', 'mb', '64');
      const { build, big } = await fetching(args);
      await mesh.agents.get('h1')!.kill('SIGKILL');
      await build.exited;
      await mesh.startAgent(home);
      await untilConnected(lab.hosts);
      await expectWhole(args, big);
    });

    test('because nix-daemon was killed: nothing of it is valid, and the next one brings it', async () => {
      const args = workload('big', '--arg', 'mb', '64');
      const { build, big } = await fetching(args);
      await home.stopDaemon();
      await home.startDaemon();
      await build.kill('SIGINT');
      await build.exited;
      await expectWhole(args, big);
    });
  });
});
