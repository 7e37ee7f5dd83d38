import { join } from 'node:path';
import {
  type ExecResult,
  type Host,
  IMAGES,
  type Image,
  Lab,
  LabMesh,
  repositoryRoot,
  requireLab,
  until,
} from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtOn, offerFeatures, readStore } from './host-store.ts';
import { untilNoBuilds } from './running-builds.ts';
import { workload } from './workload.ts';

const PROGRAM = join(repositoryRoot, 'apps/mesh/bin/mesh-builder');

/** The line of nix.conf, with what stands behind the program's name and the features of the mesh. */
function builders(args = '', features = '-'): string {
  return `ssh-ng://localhost?remote-program=${[PROGRAM, ...args.split(' ')].filter((word) => word !== '').join('%20')} - - 64 1 ${features}`;
}

/** Plain Nix on a host, which may use its builders alone. */
async function nixBuild(
  host: Host,
  args: readonly string[],
  { line = builders(), jobs = 0 }: { line?: string; jobs?: number } = {},
): Promise<ExecResult> {
  // `-f` is the mesh's own option.
  const command = [
    'nix-build',
    '--no-out-link',
    ...args.slice(1),
    '--builders',
    line,
    '--max-jobs',
    String(jobs),
  ];
  return host.exec(command, { check: false, timeoutMs: 120_000 });
}

describe.skipIf(requireLab())('the mesh as a builder of unmodified Nix', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: IMAGES.length, image: IMAGES });
    await offerFeatures(lab.hosts[1]!, 'foo');
    await offerFeatures(lab.hosts[2]!, 'bar');
    await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  const others = (home: Host): Host[] => lab.hosts.filter((host) => host !== home);
  const drvOf = async (home: Host, args: readonly string[]): Promise<string> =>
    (await home.exec(['nix-instantiate', ...args.slice(1)])).stdout.trim();

  describe.each(IMAGES)('of Nix on %s', (image: Image) => {
    const homeOf = (): Host => lab.hosts.find((host) => host.image === image)!;

    test('builds run on other machines alone, nothing is uploaded, results come into the store', async () => {
      const home = homeOf();
      const args = workload('wide', '--arg', 'n', '4', '--argstr', 'seconds', '0.1');
      const { code, stdout, stderr } = await nixBuild(home, args);
      expect(code, stderr).toBe(0);
      expect(readStore(home, stdout.trim())).toBe('0\n1\n2\n3\n');
      await home.exec(['nix-store', '--verify-path', stdout.trim()]);
      expect(await builtOn(lab.hosts, stdout.trim())).not.toContain(home.name);
      for (const [, paths] of stderr.matchAll(/copying (\d+) paths/g))
        expect(Number(paths), stderr).toBeLessThan(2);
      expect(stderr).not.toMatch(/copying path .* to 'ssh-ng:/);
      expect(stderr).not.toContain('@nix');
    });

    test('several outputs, one of which refers to itself and another', async () => {
      const home = homeOf();
      const { code, stdout, stderr } = await nixBuild(home, [...workload('multi'), '-A', 'dependant']);
      expect(code, stderr).toBe(0);
      expect(readStore(home, stdout.trim())).toBe('library\ndocumentation\n');
    });

    test('lines are shown as they come, and nix-store --read-log has them', async () => {
      const home = homeOf();
      const args = workload('noisy', '--arg', 'lines', '20');
      const { code, stderr } = await nixBuild(home, args);
      expect(code, stderr).toBe(0);
      expect(stderr).toContain('line 20 of a build that talks a lot');
      expect(stderr).not.toContain('@nix');
      const { stdout: log } = await home.exec(['nix-store', '--read-log', await drvOf(home, args)]);
      expect(log).toContain('line 1 of a build that talks a lot\n');
      expect(log.split('\n').filter((line) => line.startsWith('line '))).toHaveLength(20);
    });

    test('a failed build fails, with its log', async () => {
      const home = homeOf();
      const { code, stderr } = await nixBuild(home, [...workload('fail'), '-A', 'failing']);
      expect(code, stderr).not.toBe(0);
      expect(stderr).toContain('this line comes before the failure');
      expect(stderr).toMatch(/failed with exit code 1|builder failed|build of .* failed/);
    });

    test('a fixed output is built elsewhere, too', async () => {
      const home = homeOf();
      const { code, stdout, stderr } = await nixBuild(home, [...workload('fixed'), '-A', 'dependant']);
      expect(code, stderr).toBe(0);
      expect(readStore(home, stdout.trim())).toMatch(/^fixed /);
    });
  });

  test('what needs a feature is built on the machine that has it', async () => {
    const [home, foo, bar] = lab.hosts as [Host, Host, Host];
    for (const [feature, host] of [
      ['foo', foo],
      ['bar', bar],
    ] as const) {
      const args = [...workload('features', '--argstr', 'feature', feature), '-A', 'special'];
      const { code, stdout, stderr } = await nixBuild(home, args, { line: builders('', 'foo,bar') });
      expect(code, stderr).toBe(0);
      expect(await builtOn(others(home), stdout.trim())).toEqual([host.name]);
    }
  });

  test('Nix builds by itself what no other machine could', async () => {
    const [home] = lab.hosts as [Host];
    const args = workload('wide', '--arg', 'n', '1', '--argstr', 'seconds', '0');
    const line = builders('--feature nobody-has-this');
    const { code, stdout, stderr } = await nixBuild(home, args, { line, jobs: 1 });
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(
      'mesh-builder: no other machine of the mesh that takes builds now offers feature nobody-has-this',
    );
    expect(await builtOn(lab.hosts, stdout.trim())).toEqual([home.name]);
  });

  test('a Nix that is interrupted leaves no build behind', async () => {
    const [home, second] = lab.hosts as [Host, Host];
    const args = [...workload('endless', '--arg', 'n', '1'), '--builders', builders(), '--max-jobs', '0'];
    const nix = home.spawn(['nix-build', '--no-out-link', ...args.slice(1)]);
    await until('the build to run elsewhere', 60_000, () =>
      others(home).some((host) => host.buildProcesses().length > 0) ? true : undefined,
    );
    await nix.kill('SIGINT');
    await untilNoBuilds([home, second, lab.hosts[2]!], 30_000);
  });

  test('half a message of Nix hurts nobody', async () => {
    const [home] = lab.hosts as [Host];
    await home.exec(['sh', '-c', `printf 'cxin\\0\\0' | ${PROGRAM} --stdio`], { check: false });
    const { code, stderr } = await nixBuild(
      home,
      workload('wide', '--arg', 'n', '1', '--argstr', 'seconds', '0'),
    );
    expect(code, stderr).toBe(0);
  });
});
