import { cpus } from 'node:os';
import { type Host, type HostProcess, Lab, LabMesh, requireLab } from '@mesh/lab';
import type { JobReport } from '@mesh/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addNixConf, outputsOf, readStore, validOn } from './host-store.ts';
import { untilConnected, untilSeen } from './local-api.ts';
import { untilBuilding, untilNoBuilds } from './running-builds.ts';
import { soundReport } from './sound-report.ts';
import { workload, workloadFile } from './workload.ts';

/** A derivation for machines with `big-memory`, one that none can build, and one that needs both and a quick one. */
const MIXED = `
{ salt, feature ? "quantum" }:
let
  make = name: more: derivation ({
    inherit name salt;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo $name > $out" ];
  } // more);
  special = make "special" { requiredSystemFeatures = [ feature ]; };
in
{ all = make "all" { inherit special; quick = make "quick" { }; }; }
`;

/** Two builds of a second that become ready while every machine is idle and waits for work. */
const GATED = `
{ salt }:
let
  make = name: script: more: derivation ({
    inherit name salt;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // more);
  gate = make "gate" "sleep 0.5; echo > $out" { preferLocalBuild = true; };
  sleeper = name: make name "sleep 1; echo > $out" { inherit gate; };
in
make "all" "echo > $out" { deps = map sleeper [ "sleeper-1" "sleeper-2" ]; }
`;

/** What each host measured of itself, had it been alone on this machine: what is preferred counts where all else is equal. */
const EQUAL_SPEED = {
  version: 1,
  speed: 1,
  measuredMs: Date.now(),
  cpuModel: cpus()[0]?.model ?? '',
  nodeVersion: process.version,
};

/** What a build waits for a machine that may come, and a crowded test machine's own time. */
const PATIENCE_MS = 5_000;

describe.skipIf(requireLab(['sid']))('machines chosen for a build', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let second: Host;
  let third: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [home, second, third] = lab.hosts as [Host, Host, Host];
    await addNixConf(second, 'extra-system-features = big-memory\n');
    await addNixConf(third, 'extra-platforms = riscv64-linux\n');
    for (const host of lab.hosts) {
      await host.exec(['mkdir', '-p', '-m', '700', '/var/lib/mesh']);
      await host.writeFile('/var/lib/mesh/speed.json', JSON.stringify(EQUAL_SPEED));
    }
    await third.writeFile('/var/lib/mesh/config.json', JSON.stringify({ tags: ['rack1', 'quiet'] }));
    await home.exec(['useradd', '--create-home', 'guest']);
    await home.writeFile('/root/mixed.nix', MIXED);
    await home.writeFile('/root/gated.nix', GATED);
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  const quick = (...choice: string[]) =>
    workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0.2', ...choice);

  /** Builds what must succeed; names of the machines that built something. */
  async function buildersOf(args: readonly string[], host = home): Promise<string[]> {
    const { code, stderr, report } = await mesh.build(host, args);
    expect(code, stderr).toBe(0);
    return builders(soundReport(report));
  }

  const builders = (report: JobReport) =>
    report.peers
      .filter(({ builds }) => builds > 0)
      .map(({ name }) => name)
      .sort();

  /** What a build that must be refused says: one sentence. Nothing was built, nor left behind. */
  async function refused(code: number, args: readonly string[], user?: string): Promise<string> {
    const result = await mesh.run(home, ['build', ...args, '--no-link'], {
      check: false,
      timeoutMs: 60_000,
      ...(user === undefined ? {} : { user, cwd: '/tmp' }),
    });
    expect(result.stdout).toBe('');
    expect(result.stderr).not.toContain('building');
    const [sentence, ...more] = result.stderr.split('\n').filter((line) => line.startsWith('mesh: error: '));
    expect(more).toEqual([]);
    expect(sentence, result.stderr).toMatch(/\.$/);
    expect(result.code, result.stderr).toBe(code);
    return sentence!;
  }

  const mixed = (...more: string[]) => {
    const [, , ...salt] = workload('wide');
    return ['-f', '/root/mixed.nix', ...salt, 'all', ...more];
  };

  /** All outputs of an expression's derivations, wherever they are; evaluation alone builds nothing. */
  async function builtAnywhere(args: readonly string[]): Promise<string[]> {
    const [, file, , , salt] = args;
    const drv = (
      await home.exec(['nix-instantiate', file!, '-A', 'all', '--argstr', 'salt', salt!])
    ).stdout.trim();
    const { stdout } = await home.exec(['nix-store', '--query', '--requisites', drv.replace(/!.*$/, '')]);
    const outputs = stdout
      .trim()
      .split('\n')
      .filter((path) => path.endsWith('.drv'))
      .flatMap((path) => outputsOf(home, path));
    expect(outputs).toHaveLength(3);
    const valid = await Promise.all(lab.hosts.map((host) => validOn(host, outputs)));
    return valid.flat();
  }

  const stop = async (host: Host) => {
    const agent = mesh.agents.get(host.name)!;
    await agent.kill('SIGTERM');
    await agent.exited;
    await untilSeen(home, `${host.name} gone`, ({ members }) =>
      members.some(({ name, connected }) => name === host.name && !connected),
    );
  };

  describe('are those', () => {
    test.each([
      [['--on', 'h2'], ['h2']],
      [['--on', 'feature=big-memory'], ['h2']],
      [['--on', 'system=riscv64-linux'], ['h3']],
      [['--on', 'tag=rack1'], ['h3']],
      [['--on', 'tag=rack1+cores>=1+memory>=100M+speed>=0.01'], ['h3']],
      [['--on', 'home'], ['h1']],
      [['--local'], ['h1']],
      [['--not', 'feature=big-memory,home'], ['h3']],
      [['--not', 'tag=quiet', '--not', 'h1'], ['h2']],
      [['--on', 'h2,h3', '--not', 'tag=rack1'], ['h2']],
      [['--on', 'h2,tag=gpu'], ['h2']],
    ])('of %s', async (choice, expected) => {
      expect(await buildersOf(quick(...choice))).toEqual(expected);
    });

    test('of any of several, spread over them', async () => {
      const four = workload('wide', '--arg', 'n', '4', '--argstr', 'seconds', '1');
      expect(await buildersOf([...four, '--on', 'tag=rack1,feature=big-memory'])).toEqual(['h2', 'h3']);
    });

    test.each([
      ['h2', 'h2'],
      ['tag=rack1', 'h3'],
      ['home', 'h1'],
    ])('that are preferred: %s, though all are idle', async (choice, name) => {
      const [, , ...salt] = workload('wide');
      const args = ['-f', '/root/gated.nix', ...salt, '--prefer', choice];
      const { code, stderr, report } = await mesh.build(home, args);
      expect(code, stderr).toBe(0);
      const sleepers = soundReport(report).derivations.filter((each) => each.name.startsWith('sleeper'));
      const why = sleepers.map((each) => each.why).join('\n');
      expect(
        sleepers.map(({ peer }) => peer),
        why,
      ).toEqual([name, name]);
    });

    test('that are preferred, and others as well where these are full', async () => {
      const many = workload('wide', '--arg', 'n', '8', '--argstr', 'seconds', '1', '--prefer', 'h3');
      expect((await buildersOf(many)).length).toBeGreaterThan(1);
    });

    test('a plain user of the machine chooses', async () => {
      const guest = { user: 'guest', cwd: '/tmp' };
      const args = ['build', ...quick('--on', 'tag=rack1', '--prefer', 'h3', '--priority', 'high')];
      const { stdout } = await mesh.run(home, [...args, '--no-link', '--print-out-paths'], guest);
      expect(readStore(home, stdout.trim())).toBe('0\n1\n');
      const report: JobReport = JSON.parse((await mesh.run(home, ['report', '--json'], guest)).stdout);
      expect(builders(report)).toEqual(['h3']);
    });
  });

  describe('that cannot do it are refused before anything is built', () => {
    test('a condition that nobody meets: says what each machine is', async () => {
      const said = await refused(1, quick('--on', 'tag=gpu'));
      expect(said).toMatch(
        /h1 is left out by --on tag=gpu: it has no tags; h2 .*; h3 .*it has the tags rack1 quiet/,
      );
      expect(await refused(1, quick('--on', 'cores>=999'))).toMatch(
        /h2 is left out by --on 'cores>=999': it has \d+ cores?;/,
      );
      expect(await refused(1, quick('--on', 'h2', '--not', 'feature=big-memory'))).toContain(
        'h2 is left out by --not feature=big-memory',
      );
    });

    test('a derivation that those left cannot build: named, with its need and each offer', async () => {
      const args = mixed('--argstr', 'feature', 'big-memory', '--not', 'h2');
      const said = await refused(1, args);
      expect(said).toContain(
        'No machine can build special, which needs the system x86_64-linux and the feature big-memory',
      );
      expect(said).toMatch(
        /h1 offers x86_64-linux[^;]*; h2 offers [^;]*big-memory[^;]*, but is left out by --not h2; h3 offers/,
      );
      expect(said).toContain('let h2 take part');
      expect(await builtAnywhere(args)).toEqual([]);
      const { jobs } = JSON.parse((await mesh.run(home, ['jobs', '--json'])).stdout);
      expect(jobs[0]).toMatchObject({ state: 'failed', built: 0, running: [] });
    });

    test('to a plain user and on a dry run as well', async () => {
      expect(await refused(1, quick('--on', 'feature=quantum', '--dry-run'), 'guest')).toContain(
        'h3 is left out',
      );
    });

    test('a machine that is away: said so, after waiting for it', async () => {
      await stop(third);
      expect(await refused(1, quick('--on', 'h3'))).toContain('h3 is not connected');
      expect(await refused(1, quick('--on', 'tag=rack1'))).toContain('h3 is not connected');
      await mesh.startAgent(third);
      await untilConnected(lab.hosts);
    });

    test.each([
      ['core>=4', "--on core>=4 is no condition; write 'cores>=4'."],
      ['tags=rack1', '--on tags=rack1 is no condition; write tag=rack1.'],
      ['h9', 'No machine of this mesh is called h9; there are h1, h2, h3.'],
      ['cores', "quote it, or the shell takes the rest for a redirection: --on 'cores>=…'."],
      ['', "--on '' names no machine"],
    ])('%j: wrong usage', async (choice, sentence) => {
      expect(await refused(2, ['-f', workloadFile('wide'), '--on', choice])).toContain(sentence);
    });
  });

  describe('are looked for while the build runs', () => {
    test('one that joins and meets the condition takes part', async () => {
      await stop(third);
      const args = workload('endless', '--arg', 'n', '8', '--argstr', 'seconds', '3');
      const choice = ['--on', 'h2,tag=rack1'];
      const report = '/root/joined.json';
      const build: HostProcess = home.spawn([
        'mesh',
        'build',
        ...args,
        ...choice,
        '--no-link',
        '--report',
        report,
      ]);
      await untilBuilding([second], 2);
      await mesh.startAgent(third);
      const { code } = await build.exited;
      expect(code, build.stderr.text()).toBe(0);
      expect(build.stderr.text()).toContain('--on tag=rack1: no connected machine is that at the moment.');
      expect(builders(soundReport(JSON.parse(await home.readFile(report))))).toEqual(['h2', 'h3']);
      await untilConnected(lab.hosts);
    });

    test('one that comes back at once is waited for', async () => {
      await stop(third);
      const build = home.spawn(['mesh', 'build', ...quick('--on', 'tag=rack1'), '--no-link']);
      await mesh.startAgent(third);
      const { code } = await build.exited;
      expect(code, build.stderr.text()).toBe(0);
      await untilConnected(lab.hosts);
    });
  });

  describe('without any choice', () => {
    test('what no machine can build fails at once, without waiting for machines that cannot come', async () => {
      const { code, stderr, report } = await mesh.build(home, mixed());
      expect(stderr).toMatch(
        /No machine can build special, which needs .* the feature quantum .*; add a machine/,
      );
      expect(code).toBe(1);
      const outcomes = report!.derivations.map(({ name, outcome }) => [name, outcome]).sort();
      expect(outcomes).toContainEqual(['special', 'failed']);
      expect(outcomes).toContainEqual(['all', 'skipped']);
      expect(report!.wallMs).toBeLessThan(PATIENCE_MS - 1_000);
      await untilNoBuilds(lab.hosts, 10_000);
    });

    test('with -k the rest is built first', async () => {
      const args = mixed('-k');
      const { code, report } = await mesh.build(home, args);
      expect(code).toBe(1);
      const outcomes = new Map(report!.derivations.map(({ name, outcome }) => [name, outcome]));
      expect(Object.fromEntries(outcomes)).toEqual({ all: 'skipped', special: 'failed', quick: 'built' });
      expect(await builtAnywhere(args)).toHaveLength(1);
    });
  });
});
