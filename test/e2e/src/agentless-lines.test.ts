import { setTimeout } from 'node:timers/promises';
import { type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addNixConf, builtOn, outputsOf, validOn } from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const MACHINES = '/etc/nix/machines';
const CACHE = '/srv/cache';
const PORT = 8080;
const MB = 24;
/** Generous, for a crowded test machine. */
const WITHIN_MS = 60_000;

interface Peers {
  builders: { name: string; slots: number; place: string; trouble?: string }[];
  builderTroubles: string[];
}

describe.skipIf(requireLab(['sid']))('lines that name builders without an agent', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let near: Host;
  let far: Host;
  let cache: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 4, sshd: true });
    [home, near, far, cache] = lab.hosts as [Host, Host, Host, Host];
    await Promise.all([
      addNixConf(home, 'builders-use-substitutes = true\nrequire-sigs = false\n'),
      addNixConf(near, `substituters = http://${cache.address}:${PORT}\nrequire-sigs = false\n`),
      addNixConf(far, 'extra-system-features = far\n'),
      // Of `far` the home sees nothing but what comes by way of `near`.
      far.exec(['ip', 'route', 'add', 'blackhole', `${home.address}/32`]),
      home.writeFile(
        '/root/.ssh/config',
        `Host far\n  HostName ${far.name}\n  ProxyJump root@${near.name}\n`,
      ),
    ]);
    mesh = await LabMesh.up(lab, { hosts: [home] });
  });
  afterAll(async () => lab?.down());

  const peers = async (): Promise<Peers> =>
    JSON.parse((await mesh.run(home, ['peers', '--json'])).stdout) as Peers;

  const untilNamed = (...names: string[]): Promise<Peers> =>
    until(`builders ${names.join(', ')}`, WITHIN_MS, async () => {
      const said = await peers();
      const there = said.builders.map(({ name }) => name);
      return there.toSorted().join() === names.toSorted().join() ? said : undefined;
    });

  async function build(args: readonly string[]) {
    const { code, stdout, stderr, report } = await mesh.build(home, [...args, '--print-out-paths']);
    expect(code, stderr).toBe(0);
    return { out: stdout.trim(), ...soundReport(report, Number.POSITIVE_INFINITY) };
  }

  test('make a worker while the agent runs, reached by way of another machine; a wrong one is named', async () => {
    expect((await peers()).builders).toEqual([]);
    await home.writeFile(MACHINES, 'ssh-ng://root@far - - 1 4 far\n# none\nssh-ng://root@h2 - - many\n');
    const { builderTroubles } = await untilNamed('far');
    expect(builderTroubles).toEqual([expect.stringContaining(`${MACHINES}:3`)]);
    for (const command of ['peers', 'status', 'doctor']) {
      const { stdout } = await mesh.run(home, [command], { check: false });
      expect(stdout, command).toContain(`${MACHINES}:3`);
    }
    const { derivations } = await build(workload('routed', '--argstr', 'features', 'far'));
    const { drvPath, peer } = derivations.find(({ name }) => name === 'routed')!;
    expect(peer).toBe('far');
    expect(await builtOn([far], outputsOf(home, drvPath)[1]!)).toEqual([far.name]);
  });

  test('prefer the machine that they call fast, and never give it more builds at once than they say', async () => {
    await home.writeFile(MACHINES, `ssh-ng://root@far - - 1 4 far\nssh-ng://root@${near.name} - - 2\n`);
    await untilNamed('far', near.name);
    // So that both are up.
    await build([...workload('wide', '--arg', 'n', '3', '--argstr', 'seconds', '0'), '--not', home.name]);
    const { derivations } = await build([...workload('fixed'), 'dependant', '--not', home.name]);
    expect(derivations.find(({ name }) => name === 'fixed-dependant')?.peer).toBe('far');
    const most = { atOnce: 0 };
    const building = build([
      ...workload('wide', '--arg', 'n', '5', '--argstr', 'seconds', '1'),
      '--on',
      'far',
    ]);
    await until('the builds to end', WITHIN_MS, async () => {
      most.atOnce = Math.max(most.atOnce, far.buildProcesses().filter(({ name }) => name === 'sleep').length);
      return Promise.race([building.then(() => true as const), setTimeout(20, undefined)]);
    });
    expect(most.atOnce).toBe(1);
  });

  test('that are removed let go of the machine when its builds are over', async () => {
    const building = build([
      ...workload('wide', '--arg', 'n', '5', '--argstr', 'seconds', '6'),
      '--not',
      home.name,
    ]);
    await until(`${near.name} to build`, WITHIN_MS, () => near.buildProcesses().length > 0 || undefined);
    await home.writeFile(MACHINES, 'ssh-ng://root@far - - 1 4 far\n');
    const { derivations } = await building;
    const there = derivations.filter(({ peer }) => peer === near.name);
    expect(there.length).toBeGreaterThan(0);
    // What it had begun it has finished, and it began nothing more.
    for (const { name, attempt } of there) expect(attempt, name).toBe(1);
    expect(there.length).toBeLessThanOrEqual(2);
    await untilNamed('far');
  });

  test('may stand in nix.conf, and builders get from their substituters what they can', async () => {
    await cache.writeFile(`${CACHE}/nix-cache-info`, 'StoreDir: /nix/store\n');
    cache.spawn(['busybox', 'httpd', '-f', '-p', `${PORT}`, '-h', CACHE]);
    const work = workload('big', '--arg', 'mb', `${MB}`);
    const big = (
      await cache.exec(['nix-build', '--no-out-link', ...work.slice(1), '-A', 'big'])
    ).stdout.trim();
    await cache.exec(['nix', 'copy', '--to', `file://${CACHE}?compression=none`, big]);
    // Home has it, and could send it.
    await home.exec(['nix', 'copy', '--no-check-sigs', '--from', `http://${cache.address}:${PORT}`, big]);
    const conf = await home.readFile('/etc/nix/nix.conf');
    await home.writeFile('/etc/nix/nix.conf', `${conf}builders = ssh-ng://root@${near.name} - - 2\n`);
    const { builders } = await untilNamed(near.name);
    expect(builders[0]?.place).toBe('builders:1');
    const before = await sentBy(home);
    const { derivations } = await build([...work, 'dependant', '--on', near.name]);
    expect(derivations).toMatchObject([{ name: 'big-dependant', peer: near.name }]);
    expect(await validOn(near, [big])).toEqual([big]);
    expect((await sentBy(home)) - before).toBeLessThan(2 * 1024 * 1024);
  });

  test('name a machine that gets an agent of its own: it is a worker by that alone', async () => {
    await home.writeFile('/etc/nix/machines', `ssh-ng://root@${near.name} - - 2 1\n`);
    await addNixConf(home, 'builders = @/etc/nix/machines\n');
    await untilNamed(near.name);
    await build(workload('wide', '--arg', 'n', '6', '--argstr', 'seconds', '0.3'));
    await mesh.startAgent(near);
    await mesh.join(near, home);
    await mesh.untilConnected([home, near]);
    await until('the line to be left to the agent', WITHIN_MS, async () => {
      const { builders } = await peers();
      return builders[0]?.trouble?.includes('its own agent builds for the mesh') === true ? true : undefined;
    });
    await build(workload('wide', '--arg', 'n', '7', '--argstr', 'seconds', '0.3'));
  });
});

/** Bytes that went over the host's cable since it was plugged in. */
async function sentBy(host: Host): Promise<number> {
  const devices = (await host.readFile('/proc/net/dev')).matchAll(/^\s*(\w+):\s*(\d.*)$/gm);
  return [...devices].reduce((sum, [, name, figures = '']) => {
    const sent = Number(figures.trim().split(/\s+/)[8]);
    return name === 'lo' ? sum : sum + sent;
  }, 0);
}
