import { type Host, type HostProcess, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { outputsOf, readStore, validOn } from './host-store.ts';
import { untilConnected, untilSeen } from './local-api.ts';
import { untilBuilding, untilNoBuilds } from './running-builds.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

/** A closed connection is noticed within a second, a silent one within ten; the rest is for a crowded test machine. */
const CLOSED_WITHIN_MS = 2_500;
const SILENT_WITHIN_MS = 15_000;

describe.skipIf(requireLab(['sid']))('what goes wrong with a machine', () => {
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
  afterEach(async () => {
    for (const host of lab.hosts) {
      await host.boot();
      await host.link('up');
      await host.net(undefined);
      if (!host.processes().some(({ name }) => name === 'nix-daemon')) await host.startDaemon();
      if (!mesh.agents.get(host.name)!.running) await mesh.startAgent(host);
    }
    await untilConnected(lab.hosts);
    await untilNoBuilds(lab.hosts, 30_000);
  });

  const start = (args: readonly string[]): HostProcess =>
    home.spawn(['mesh', 'build', ...args, '--no-link', '--print-out-paths'], { cwd: '/root' });

  /** The end of a build that must have succeeded: its only output, as it stands in the home's store. */
  async function resultOf(build: HostProcess): Promise<string> {
    const { code } = await build.exited;
    expect(code, build.stderr.text()).toBe(0);
    const [path] = build.stdout.lines;
    expect(await validOn(home, [path!])).toEqual([path]);
    return readStore(home, path!);
  }

  const untilGone = (host: Host) =>
    untilSeen(home, `${host.name} gone`, ({ members }) =>
      members.some(({ name, connected }) => name === host.name && !connected),
    );

  const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i}\n`).join('');

  test('a plug pulled in the middle: its builds go elsewhere', async () => {
    const build = start(workload('endless', '--arg', 'n', '6', '--argstr', 'seconds', '2'));
    await untilBuilding(lab.hosts, 2);
    await third.kill();
    expect(await resultOf(build)).toBe(numbers(6));
    expect(build.stderr.text()).toContain('h3: gone');
    expect(build.stderr.text()).toMatch(/h3: could not finish endless-\d .*; it goes elsewhere/);
  });

  test('a machine lost with outputs that others need: they are built again', async () => {
    const build = start(workload('late', '--arg', 'n', '8', 'late', '--not', 'h1'));
    const seen: string[] = [];
    for await (const line of build.stderr) {
      seen.push(line);
      if (seen.filter((each) => /built leaf/.test(each)).length === 8) break;
    }
    const [, slowOn] = /^(h\d): building slow$/m.exec(seen.join('\n')) ?? [];
    const lost = slowOn === 'h2' ? third : second;
    expect(seen.some((line) => line.startsWith(`${lost.name}: built leaf`))).toBe(true);
    await lost.kill({ quiet: false });
    expect(await resultOf(build)).toBe(`slow\n${numbers(8)}`);
    expect(build.stderr.text()).toMatch(/warning: .*leaf.*is gone; building it again/);
  });

  test('a machine lost while it gives the result: it is built again', async () => {
    const build = start(workload('big', '--arg', 'mb', '24', 'big', '--on', 'h2,h3'));
    const line = await build.stderr.waitFor(/building big/);
    const [builder, other] = line.startsWith('h2') ? [second, third] : [third, second];
    await builder.net('rate 10mbit');
    await build.stderr.waitFor(/fetching the result/);
    await builder.kill({ quiet: false });
    expect((await resultOf(build)).length).toBeGreaterThan(0);
    expect(build.stderr.text()).toContain('warning: ');
    expect(build.stderr.text()).toContain(`${other.name}: built big`);
  });

  test('a machine lost with what only it had, from before: that is built again', async () => {
    const args = workload('late', '--arg', 'n', '1', '--argstr', 'seconds', '3');
    await second.exec(['nix-build', ...args.slice(1), '-A', 'leaves', '--no-out-link']);
    const build = start([...args, 'late', '--not', 'h2']);
    await build.stderr.waitFor(/building slow/);
    expect(build.stderr.text()).not.toContain('leaf-0');
    await second.kill({ quiet: false });
    expect(await resultOf(build)).toBe(`slow\n${numbers(1)}`);
    expect(build.stderr.text()).toMatch(/warning: No connected member could give .*-leaf-0 .*Planning again/);
    expect(build.stderr.text()).toContain('built leaf-0');
  });

  test("a worker's nix-daemon that stops: its builds go elsewhere, and come back with it", async () => {
    const build = start(workload('endless', '--arg', 'n', '6', '--argstr', 'seconds', '2'));
    await untilBuilding(lab.hosts, 2);
    await second.stopDaemon();
    expect(await resultOf(build)).toBe(numbers(6));
    expect(build.stderr.text()).toMatch(/h2: could not finish endless-\d/);
    const meanwhile = start(workload('wide', '--arg', 'n', '12', '--argstr', 'seconds', '0.2'));
    expect(await resultOf(meanwhile)).toBe(numbers(12));
    expect(meanwhile.stderr.text()).not.toContain('h2: could not finish');
    await second.startDaemon();
    expect(
      await resultOf(start(workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0', '--on', 'h2'))),
    ).toBe(numbers(2));
  });

  test("home's own nix-daemon that is down: said in a sentence, and forgotten when it is back", async () => {
    await home.stopDaemon();
    const args = workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0');
    const { code, stderr } = await mesh.build(home, args);
    expect(code).toBe(1);
    expect(stderr).toMatch(/mesh: error: .*nix-daemon.*start/);
    expect(stderr).not.toContain('internal');
    await home.startDaemon();
    expect(await resultOf(start(args))).toBe(numbers(2));
    const { jobs } = JSON.parse((await mesh.run(home, ['jobs', '--json'])).stdout) as {
      jobs: { state: string }[];
    };
    expect(jobs.slice(0, 2).map(({ state }) => state)).toEqual(['built', 'failed']);
  });

  test("home's own nix-daemon that stops in the middle: said in a sentence, and nothing builds on", async () => {
    const build = start(workload('endless', '--arg', 'n', '6', '--argstr', 'seconds', '2'));
    await untilBuilding(lab.hosts, 2);
    await home.stopDaemon();
    expect(await build.exited, build.stderr.text()).toEqual({ code: 1 });
    expect(build.stderr.text()).toMatch(/mesh: error: .*nix-daemon/);
    await untilNoBuilds(lab.hosts, CLOSED_WITHIN_MS);
    await home.startDaemon();
    await resultOf(start(workload('wide', '--arg', 'n', '6', '--argstr', 'seconds', '0')));
  });

  test('a cable that is out for a while: work goes elsewhere, and the machine is back afterwards', async () => {
    const build = start(workload('endless', '--arg', 'n', '6', '--argstr', 'seconds', '4'));
    await untilBuilding(lab.hosts, 2);
    await third.link('down');
    expect(await untilGone(third)).toBeLessThan(SILENT_WITHIN_MS);
    expect(await resultOf(build)).toBe(numbers(6));
    await third.link('up');
    await untilConnected(lab.hosts);
    await resultOf(start(workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0', '--on', 'h3')));
  });

  test('cables that delay and lose: it takes longer', async () => {
    await Promise.all(lab.hosts.map((host) => host.net('delay 20ms loss 2%')));
    await resultOf(start(workload('wide', '--arg', 'n', '12', '--argstr', 'seconds', '0.3')));
    expect(
      (await resultOf(start(workload('big', '--arg', 'mb', '3', 'big', '--not', 'h1')))).length,
    ).toBeGreaterThan(0);
  });

  test('an agent that is killed: noticed at once, leaves no build behind', async () => {
    const build = start(workload('endless', '--arg', 'n', '6', '--argstr', 'seconds', '2'));
    await untilBuilding(lab.hosts, 2);
    await mesh.agents.get(second.name)!.kill('SIGKILL');
    expect(await untilGone(second)).toBeLessThan(CLOSED_WITHIN_MS);
    expect(await resultOf(build)).toBe(numbers(6));
    await untilNoBuilds([second], 15_000);
  });

  test("a worker's agent that is told to stop: its builds go elsewhere at once", async () => {
    const build = start(workload('endless', '--arg', 'n', '6', '--argstr', 'seconds', '2'));
    await untilBuilding(lab.hosts, 2);
    await mesh.agents.get(third.name)!.kill('SIGTERM');
    await untilNoBuilds([third], CLOSED_WITHIN_MS);
    expect(await resultOf(build)).toBe(numbers(6));
  });

  test('a disk that is full: its builds go elsewhere', async () => {
    await second.exec([
      'sh',
      '-c',
      'mount -o remount,size=$(($(df -k --output=used /nix | tail -1) + 2048))k /nix',
    ]);
    try {
      // More than the other machine has slots.
      const builds = await Promise.all(
        Array.from({ length: 4 }, () =>
          mesh.build(home, workload('big', '--arg', 'mb', '16', 'big', '--not', 'h1')),
        ),
      );
      const derivations = builds.flatMap(({ report }) => soundReport(report).derivations);
      expect(builds.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
      expect(derivations.map(({ peer, outcome }) => `${outcome} on ${peer}`)).toEqual(
        builds.map(() => 'built on h3'),
      );
      const onFullDisk = derivations
        .flatMap(({ attempts }) => attempts ?? [])
        .filter(({ peer }) => peer === 'h2');
      expect(onFullDisk.length).toBeGreaterThan(0);
      for (const { outcome, detail } of onFullDisk) {
        expect(outcome).toMatch(/revoked|failed/);
        expect(detail).toMatch(/No space left/);
      }
    } finally {
      await second.exec(['mount', '-o', 'remount,size=100%', '/nix']);
    }
    await resultOf(start(workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0', '--on', 'h2')));
  });

  test('what no machine can bring to an end is said so, with what the last one said', async () => {
    const { code, stderr } = await mesh.build(home, workload('no-space'));
    expect(code, 'no build failed: machines did').toBe(1);
    expect(stderr).toMatch(
      /failed to build no-space .*: no-space could not be built in 4 attempts on 3 machines/,
    );
    expect(stderr).toMatch(/the last said: .*No space left on device/);
  });
});

describe.skipIf(requireLab(['sid']))('what goes wrong with a build', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2 });
    [home] = lab.hosts as [Host, Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  const count = (text: string, part: string) => text.split(part).length - 1;

  async function outputOf(args: readonly string[], attribute: string): Promise<string> {
    const { stdout } = await home.exec([
      'nix-instantiate',
      ...args.filter((arg) => arg !== '-f'),
      '-A',
      attribute,
    ]);
    return outputsOf(home, stdout.trim())[0]!;
  }

  test('a failure is final: its log once, what needs it is not tried, the rest is given up', async () => {
    const args = workload('fail');
    const { code, stderr, report } = await mesh.build(home, [...args, 'all', '--not', 'h1']);
    expect(code).toBe(100);
    expect(count(stderr, 'this line comes before the failure')).toBe(1);
    expect(stderr).toContain('failed to build failing');
    expect(stderr).not.toContain('building dependant');
    expect(stderr).not.toContain('goes elsewhere');
    expect(report?.ok).toBe(false);
    expect(report?.derivations.find(({ name }) => name === 'failing')?.attempt).toBe(1);
    expect(await validOn(home, [await outputOf(args, 'independent')])).toEqual([]);
    const { stdout } = await mesh.run(home, ['log', 'failing']);
    expect(stdout).toBe('this line comes before the failure\n');
    await untilNoBuilds(lab.hosts, CLOSED_WITHIN_MS);
  });

  test('with -k everything that does not need it is built', async () => {
    const args = workload('fail');
    const { code, stderr, report } = await mesh.build(home, [...args, 'all', 'independent', '-k']);
    expect(code).toBe(100);
    expect(count(stderr, 'this line comes before the failure')).toBe(1);
    expect(report?.derivations.map(({ name, outcome }) => `${name} ${outcome}`).sort()).toEqual([
      'all skipped',
      'dependant skipped',
      'failing failed',
      'independent built',
    ]);
    const independent = await outputOf(args, 'independent');
    expect(await validOn(home, [independent])).toEqual([independent]);
  });
});
