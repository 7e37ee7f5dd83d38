import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Host, Lab, LabMesh, repositoryRoot, requireLab, until } from '@mesh/lab';
import type { FetchProgress, JobEvent, JobReport } from '@mesh/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  builtOn,
  derivationOn,
  offerFeatures,
  outputsOf,
  readStore,
  signersOn,
  validOn,
} from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const WIDE = 12;

describe.skipIf(requireLab(['sid']))('a build on three machines', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let second: Host;
  let third: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [home, second, third] = lab.hosts as [Host, Host, Host];
    await offerFeatures(third, 'big-memory');
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  /** Builds what must succeed; the report has been checked. */
  async function built(host: Host, args: readonly string[]): Promise<JobReport> {
    const { code, stderr, report } = await mesh.build(host, args);
    expect(code, stderr).toBe(0);
    return soundReport(report);
  }

  const peerOf = (report: JobReport, name: string) =>
    report.derivations.find((derivation) => derivation.name === name)?.peer;
  const buildsOf = (report: JobReport) =>
    Object.fromEntries(report.peers.map(({ name, builds }) => [name, builds]));
  const resultOf = (host: Host, report: JobReport, name: string): string => {
    const { drvPath } = report.derivations.find((derivation) => derivation.name === name)!;
    return readStore(host, outputsOf(host, drvPath)[0]!);
  };

  /** Events of one type of a build that succeeds on the home. */
  async function fetchesOf<T extends JobEvent['type']>(
    args: readonly string[],
    type: T,
  ): Promise<Extract<JobEvent, { type: T }>[]> {
    const { code, stderr } = await mesh.build(home, [...args, '--log-format', 'json']);
    expect(code, stderr).toBe(0);
    const events = stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as JobEvent);
    return events.filter((event) => event.type === type) as Extract<JobEvent, { type: T }>[];
  }

  /** What is said of a path of 24 MiB over 5 MB/s: more each time, at a rate that can be, from machines that have it. */
  function growing(said: readonly FetchProgress[], source?: string): void {
    expect(said.length).toBeGreaterThanOrEqual(3);
    const bytes = said.map(({ bytesDone }) => bytesDone);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    expect(bytes.at(-1)! - bytes[0]!).toBeGreaterThan(8 * 2 ** 20);
    for (const { bytesDone, bytesTotal, bytesPerS, sources } of said) {
      expect(bytesTotal).toBeGreaterThan(24 * 2 ** 20);
      expect(bytesDone).toBeLessThanOrEqual(bytesTotal);
      expect(bytesPerS).toBeLessThan(20e6);
      expect(Object.values(sources).reduce((sum, part) => sum + part, 0)).toBe(bytesDone);
      if (source !== undefined) expect(Object.keys(sources)).toEqual([source]);
    }
    expect(said.some(({ bytesPerS }) => bytesPerS > 1e6)).toBe(true);
  }

  test('spreads over all of them', async () => {
    const report = await built(home, workload('wide', '--arg', 'n', `${WIDE}`));
    expect(report.derivations.length).toBe(WIDE + 1);
    expect(report.peers.map(({ name }) => name).sort()).toEqual(['h1', 'h2', 'h3']);
    for (const { name, builds } of report.peers)
      expect(builds, `builds on ${name}`).toBeGreaterThanOrEqual(2);
    expect(resultOf(home, report, 'wide')).toBe(Array.from({ length: WIDE }, (_, i) => `${i}\n`).join(''));
  });

  test('the result comes home with a link that keeps it from garbage collection', async () => {
    await home.exec(['mkdir', '-p', '/root/linked']);
    const args = ['build', ...workload('wide', '--arg', 'n', '2', '--not', 'h1')];
    await mesh.run(home, args, { cwd: '/root/linked' });
    const result = (await home.exec(['readlink', '/root/linked/result'])).stdout.trim();
    expect(result).toMatch(/^\/nix\/store\/.*-wide$/);
    const { stdout: roots } = await home.exec(['nix-store', '--query', '--roots', result]);
    expect(roots).toContain('/root/linked/result ');
    await home.exec(['nix-store', '--gc']);
    expect(await validOn(home, [result])).toEqual([result]);
    await home.exec(['nix-store', '--verify-path', result]);
    expect(readStore(home, result)).toBe('0\n1\n');
  });

  test('outputs stay where they were built; only the result comes home', async () => {
    const report = await built(home, workload('wide', '--arg', 'n', `${WIDE}`, '--not', 'h1'));
    expect(buildsOf(report).h1).toBe(0);
    const leaves = report.derivations.filter(({ name }) => name !== 'wide');
    const root = report.derivations.find(({ name }) => name === 'wide')!;
    for (const host of [second, third]) {
      const own = leaves
        .filter(({ peer }) => peer === host.name)
        .flatMap((leaf) => outputsOf(home, leaf.drvPath));
      expect(own.length).toBeGreaterThan(0);
      expect(await validOn(host, own)).toEqual(own);
      // Whoever built the last one needed all of them; nobody else did.
      if (host.name === root.peer) continue;
      const others = leaves
        .filter(({ peer }) => peer !== host.name)
        .flatMap((leaf) => outputsOf(home, leaf.drvPath));
      expect(await validOn(host, others)).toEqual([]);
    }
    expect(
      await validOn(
        home,
        leaves.flatMap((leaf) => outputsOf(home, leaf.drvPath)),
      ),
    ).toEqual([]);
    expect(await validOn(home, outputsOf(home, root.drvPath))).toEqual(outputsOf(home, root.drvPath));
  });

  test('outputs are signed where they were built, with the key of that machine', async () => {
    const report = await built(home, workload('wide', '--arg', 'n', '4', '--argstr', 'seconds', '0.1'));
    const { members } = await mesh.peers(home);
    for (const { drvPath, peer } of report.derivations) {
      const host = lab.host(peer!);
      const key = `mesh-${members.find((member) => member.name === peer)!.peerId}`;
      for (const output of outputsOf(home, drvPath)) {
        await until(`the signature of ${output}`, 10_000, async () =>
          (await signersOn(host, output)).includes(key) ? true : undefined,
        );
      }
    }
  });

  test('tells how far inputs and the result are on their way, and from whom', async () => {
    const big = workload('big', '--arg', 'mb', '24');
    await second.exec(['nix-build', ...big.slice(1), '-A', 'big', '--no-out-link']);
    await Promise.all([second, third].map((host) => host.net('rate 40mbit')));
    try {
      const progress = await fetchesOf([...big, 'dependant', '--on', 'h3'], 'fetch-progress');
      for (const event of progress) expect(event).toMatchObject({ name: 'big-dependant', peer: 'h3' });
      growing(progress, 'h2');
      growing((await fetchesOf([...big, 'big'], 'result-fetch')).flatMap(({ progress }) => progress ?? []));
    } finally {
      await Promise.all([second, third].map((host) => host.net(undefined)));
    }
  });

  test('its report is what mesh report and mesh jobs tell', async () => {
    const report = await built(home, workload('wide', '--arg', 'n', '3', '--argstr', 'seconds', '0.2'));
    const told = JSON.parse((await mesh.run(home, ['report', '--json'])).stdout);
    expect(told).toEqual(report);
    expect(JSON.parse((await mesh.run(home, ['report', report.job, '--json'])).stdout)).toEqual(report);
    expect((await mesh.run(home, ['report'])).stdout).toContain(report.job);
    const { jobs } = JSON.parse((await mesh.run(home, ['jobs', '--json'])).stdout);
    expect(jobs[0]).toMatchObject({
      job: report.job,
      state: 'built',
      total: 4,
      built: 4,
      failed: 0,
      running: [],
    });
    const wide = report.derivations.find(({ name }) => name === 'wide')!;
    expect(report.criticalPath.at(-1)).toBe(wide.drvPath);
    expect(derivationOn(home, wide.drvPath).inputDrvs.has(report.criticalPath.at(-2)!)).toBe(true);
  });

  test('a chain is built in its order', async () => {
    const report = await built(home, workload('chain', '--arg', 'n', '12'));
    const byName = new Map(report.derivations.map((derivation) => [derivation.name, derivation]));
    for (let i = 1; i < 12; i++) {
      const [before, after] = [byName.get(`chain-${i - 1}`)!, byName.get(`chain-${i}`)!];
      expect(after.startedMs).toBeGreaterThanOrEqual(before.finishedMs!);
    }
    expect(report.criticalPath.length).toBe(12);
  });

  test('a recorded graph of 228 derivations', async () => {
    const packed = readFileSync(join(repositoryRoot, 'test/dags/hello.json.gz'));
    await home.writeFile('/root/hello.json', gunzipSync(packed));
    const [, , ...salt] = workload('wide');
    const dag = ['-f', join(repositoryRoot, 'test/dags/dag.nix'), '--argstr', 'file', '/root/hello.json'];
    const report = await built(home, [...dag, '--argstr', 'scale', '0.0001', ...salt]);
    expect(report.derivations.length).toBe(229);
    const finished = new Map(report.derivations.map(({ drvPath, finishedMs }) => [drvPath, finishedMs!]));
    for (const { drvPath, name, startedMs } of report.derivations) {
      const inputs = [...derivationOn(home, drvPath).inputDrvs.keys()].map((input) => finished.get(input)!);
      expect(startedMs, `${name} starts after its inputs`).toBeGreaterThanOrEqual(Math.max(0, ...inputs));
    }
    for (const { name, builds } of report.peers) expect(builds, `builds on ${name}`).toBeGreaterThan(0);
  });

  test('the same again builds nothing and moves nothing', async () => {
    const work = workload('wide', '--arg', 'n', '3', '--argstr', 'seconds', '0');
    await built(home, [...work, '--not', 'h1']);
    const again = await mesh.build(home, work);
    expect(again.report).toMatchObject({ derivations: [], bytesFetched: 0 });
    expect(again.stderr).toContain('nothing had to be built, everything was there');
  });

  test('what a member has is fetched, not built', async () => {
    const work = workload('multi');
    await built(second, [...work, 'multi^*', '--local']);
    const report = await built(third, [...work, 'multi^*']);
    expect(report.derivations).toEqual([]);
    expect(report.peers.find(({ name }) => name === 'h2')!.bytesOut).toBeGreaterThan(0);
    expect(buildsOf(report)).toEqual({ h2: 0, h3: 0 });

    const further = await built(home, [...work, 'dependant']);
    expect(further.derivations.map(({ name }) => name)).toEqual(['multi-dependant']);
    expect(resultOf(home, further, 'multi-dependant')).toBe('library\ndocumentation\n');
  });

  test('fixed-output and preferLocalBuild derivations stay at home', async () => {
    const fixed = await built(home, workload('fixed', 'dependant'));
    expect(peerOf(fixed, 'fixed')).toBe('h1');
    expect(resultOf(home, fixed, 'fixed-dependant')).toMatch(/^fixed /);
    const local = await built(second, workload('prefer-local', 'dependant'));
    expect(peerOf(local, 'prefer-local')).toBe('h2');
  });

  test('and leave it where home may not build', async () => {
    const report = await built(home, workload('fixed', 'dependant', '--not', 'h1'));
    expect(buildsOf(report).h1).toBe(0);
    expect(report.derivations.map(({ name }) => name).sort()).toEqual(['fixed', 'fixed-dependant']);
  });

  test('--local, --on and --not choose the machines', async () => {
    const quick = ['--arg', 'n', '4', '--argstr', 'seconds', '0.3'];
    expect(buildsOf(await built(home, workload('wide', ...quick, '--local')))).toEqual({ h1: 5 });
    const on = buildsOf(await built(home, workload('wide', ...quick, '--on', 'h2')));
    expect(on).toEqual({ h1: 0, h2: 5 });
    const { members } = await mesh.peers(home);
    const id = members.find(({ name }) => name === 'h3')!.peerId;
    const two = buildsOf(await built(home, workload('wide', ...quick, '--on', `h2,${id}`)));
    expect(two).toEqual({ h1: 0, h2: expect.any(Number), h3: expect.any(Number) });
    const not = buildsOf(await built(home, workload('wide', ...quick, '--not', 'h2', '--not', 'h3')));
    expect(not).toEqual({ h1: 5 });
  });

  test('a machine that nobody knows is refused before anything is built', async () => {
    const before = (await mesh.run(home, ['jobs', '--json'])).stdout;
    const { code, stdout, stderr, report } = await mesh.build(home, workload('wide', '--on', 'h2,h9'));
    expect({ code, stdout, report }).toEqual({ code: 2, stdout: '', report: undefined });
    expect(stderr).toMatch(/^mesh: error: No machine of this mesh is called h9; there are .*\.\n$/);
    for (const name of ['h1', 'h2', 'h3']) expect(stderr).toContain(name);
    expect((await mesh.run(home, ['jobs', '--json'])).stdout).toBe(before);
  });

  test('required system features choose the machine', async () => {
    const report = await built(home, workload('features', 'dependant', '--argstr', 'feature', 'big-memory'));
    expect(peerOf(report, 'special')).toBe('h3');
    expect(resultOf(home, report, 'dependant')).toBe('built where big-memory is\n');
  });

  test('a feature that no machine has fails with one sentence', async () => {
    const result = await mesh.build(
      home,
      workload('features', 'dependant', '--argstr', 'feature', 'quantum'),
    );
    expect(result.code).toBe(1);
    const lines = result.stderr.split('\n').filter((line) => line.includes('quantum'));
    expect(lines.length, result.stderr).toBe(1);
    expect(lines[0]).toContain('No machine can build special, which needs');
    for (const name of ['h1', 'h2', 'h3']) expect(lines[0]).toContain(`${name} offers x86_64-linux`);
    const outcomes = result.report!.derivations.map(({ name, outcome, startedMs }) => [
      name,
      outcome,
      startedMs,
    ]);
    expect(outcomes.sort()).toEqual([
      ['dependant', 'skipped', null],
      ['special', 'failed', null],
    ]);
  });

  /** Builds the same or different things on several machines at once; answers what each got. */
  async function builtAtOnce(args: readonly (readonly [Host, readonly string[]])[]) {
    const results = await Promise.all(args.map(([host, more]) => mesh.build(host, [...more, '--json'])));
    return results.map(({ code, stderr, stdout, report }, index) => {
      expect(code, stderr).toBe(0);
      const [{ drvPath, outputs }] = JSON.parse(stdout);
      const text = readStore(args[index]![0], outputs.out);
      return { drvPath: drvPath as string, text, report: soundReport(report) };
    });
  }

  /** Whoever came late found it built; nobody built it again. */
  async function expectBuiltOnce(drvPaths: Iterable<string>, reports: readonly JobReport[]): Promise<void> {
    for (const drvPath of drvPaths) {
      expect(await builtOn(lab.hosts, outputsOf(home, drvPath)[0]!), drvPath).toHaveLength(1);
      const told = reports
        .flatMap(({ derivations }) => derivations)
        .filter((each) => each.drvPath === drvPath);
      expect(
        told.filter(({ outcome }) => outcome === 'built'),
        drvPath,
      ).toHaveLength(1);
    }
  }

  test('two jobs of two machines build what both need once', async () => {
    const work = workload('shared');
    const [left, right] = await builtAtOnce([
      [home, [...work, 'left']],
      [second, [...work, 'right']],
    ]);
    const inputs = [...derivationOn(home, left!.drvPath).inputDrvs.keys()];
    await expectBuiltOnce([left!.drvPath, ...inputs], [left!.report, right!.report]);
    expect([left!.text, right!.text]).toEqual(['slow\nown\n', 'slow\nown\n']);
  });

  test('the same job from all machines at once is built once', async () => {
    const work = workload('wide', '--arg', 'n', '6', '--argstr', 'seconds', '0.5');
    const jobs = await builtAtOnce(lab.hosts.map((host) => [host, work] as const));
    const { drvPath } = jobs[0]!;
    const all = [drvPath, ...derivationOn(home, drvPath).inputDrvs.keys()];
    expect(all).toHaveLength(7);
    await expectBuiltOnce(
      all,
      jobs.map(({ report }) => report),
    );
    for (const { text } of jobs) expect(text).toBe('0\n1\n2\n3\n4\n5\n');
  });
});
