import { type Host, type HostProcess, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { type ControlResult, controlResultSchemas, type WhyView } from '@mesh/wire';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { untilBuilding, untilNoBuilds } from './running-builds.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

describe.skipIf(requireLab(['sid']))('a user who asks why', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [home] = lab.hosts as [Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  async function why(target: string, ...more: string[]): Promise<ControlResult<'why'>> {
    const { stdout } = await mesh.run(home, ['why', target, ...more, '--json']);
    return v.parse(controlResultSchemas.why, JSON.parse(stdout));
  }

  async function whyOne(target: string): Promise<WhyView> {
    const { derivations } = await why(target);
    expect(derivations).toHaveLength(1);
    return derivations[0]!;
  }

  const names = () => lab.hosts.map(({ name }) => name);

  describe('while the job runs', () => {
    let build: HostProcess;

    beforeAll(async () => {
      build = home.spawn(['mesh', 'build', ...workload('endless', '--arg', 'n', '9'), '--no-link']);
      await untilBuilding(lab.hosts, 2);
    });
    afterAll(async () => {
      await build?.kill('SIGINT');
      await build?.exited;
      await untilNoBuilds(lab.hosts, 5_000);
    });

    test('is told where a derivation runs, since when, and with what reason it went there', async () => {
      const running = (await why('endless-')).derivations.filter(({ state }) => state === 'building');
      expect(running).toHaveLength(6);
      for (const { sentence, attempts, readyMs } of running) {
        expect(attempts).toHaveLength(1);
        const [attempt] = attempts;
        expect(names()).toContain(attempt!.peer);
        expect(attempt).toMatchObject({ outcome: null, race: false, endedMs: null });
        expect(attempt!.why, 'a reason with numbers').toMatch(/\d/);
        expect(sentence).toContain(`${attempt!.peer} builds it since`);
        expect(readyMs).toBeLessThanOrEqual(attempt!.startedMs!);
      }
    });

    test('is told what waits for a slot, and what waits for others', async () => {
      const { derivations } = await why('endless-');
      const waiting = derivations.filter(({ state }) => state === 'ready' || state === 'leased');
      expect(waiting).toHaveLength(3);
      for (const { name, state, sentence } of waiting)
        expect(sentence).toMatch(
          state === 'ready' ? new RegExp(`^${name} is ready and waits for a slot`) : /\S/,
        );

      const root = await whyOne('endless');
      expect(root).toMatchObject({ state: 'waiting', waitsForCount: 9, readyMs: null, attempts: [] });
      expect(root.sentence).toMatch(/^endless waits for endless-\d.* and 6 more; .* of work hang on it/);
      expect(root.waitsFor.every(({ name }) => name.startsWith('endless-'))).toBe(true);
    });

    test('reads it as text of at most 80 columns, but for paths', async () => {
      const { stdout } = await mesh.run(home, ['why', 'endless-0']);
      expect(stdout).toMatch(/^endless-0: (building|ready|leased) \(job [0-9a-f]+\)\n/);
      for (const line of stdout.split('\n'))
        if (!line.includes('/nix/store')) expect(line.length, line).toBeLessThanOrEqual(80);
    });
  });

  describe('after it', () => {
    test('is told where each derivation was built, why there, and how long each step took', async () => {
      const { code, stderr, report } = await mesh.build(home, workload('wide', '--arg', 'n', '12'));
      expect(code, stderr).toBe(0);
      const sound = soundReport(report);
      for (const derivation of sound.derivations) {
        const { derivations } = await why(derivation.drvPath, '--job', sound.job);
        expect(derivations).toHaveLength(1);
        const [view] = derivations;
        expect(view).toMatchObject({ state: 'built', name: derivation.name, readyMs: derivation.readyMs });
        expect(view!.sentence).toContain(`${derivation.peer} built it in`);
        const won = view!.attempts.find(({ outcome }) => outcome === 'won');
        expect(won).toMatchObject({
          peer: derivation.peer,
          attempt: derivation.attempt,
          why: derivation.why,
        });
      }
    });

    test('is told how near to the least possible it was, what cost the rest and what would have helped', async () => {
      const { report } = await mesh.build(home, workload('wide', '--arg', 'n', '24'));
      const { homeIdle, whatIf, boundBy } = soundReport(report);
      expect(boundBy).toBe('machines');
      expect(homeIdle, 'slots of the home that idled').toEqual({ count: 0, ms: 0 });
      expect(whatIf?.map(({ like }) => like).sort()).toEqual(names().sort());
      for (const { savedMs } of whatIf!) expect(savedMs).toBeGreaterThan(0);

      const { stdout } = await mesh.run(home, ['report']);
      const text = stdout.replaceAll('\n  ', ' ');
      expect(text).toMatch(/The least possible here was \d+\.\d s/);
      expect(text).toMatch(/The other .* went to: /);
      expect(text).toMatch(/One more machine like h1 .*would have saved about \d+\.\d s/);
      expect((await mesh.run(home, ['report', '-v'])).stdout).toMatch(/^wide-\d+ on h\d: /m);
    });

    test('is told that a build failed, where and with what', async () => {
      const { code } = await mesh.build(home, workload('fail', 'all'));
      expect(code).toBe(100);
      const failed = (await why('failing')).derivations.filter(({ state }) => state === 'failed');
      expect(failed.length).toBeGreaterThan(0);
      for (const { sentence } of failed) expect(sentence).toMatch(/It failed on h\d: \S/);
    });

    test('is told when there is no such derivation', async () => {
      const { code, stderr } = await mesh.run(home, ['why', 'no-such-thing'], { check: false });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^mesh: error: No derivation no-such-thing/);
    });
  });

  test('as any user of the machine gets the same answer', async () => {
    const { stdout } = await home.exec(['su', '-s', '/bin/sh', 'nobody', '-c', 'mesh why wide --json'], {
      check: false,
    });
    expect(v.parse(controlResultSchemas.why, JSON.parse(stdout)).derivations[0]!.name).toBe('wide');
  });

  test('sees a machine that failed a derivation, and where it went then', async () => {
    const build = home.spawn([
      'mesh',
      'build',
      ...workload('endless', '--arg', 'n', '1', '--argstr', 'seconds', '5'),
      ...['--not', home.name, '--no-link'],
    ]);
    const [, second, third] = lab.hosts as [Host, Host, Host];
    const first = await until('the build', 30_000, () =>
      [second, third].find((host) => host.buildProcesses().some(({ name }) => name === 'sleep')),
    );
    await first.kill();
    expect(await build.exited, build.stderr.text()).toEqual({ code: 0 });
    const { attempts, sentence } = await whyOne('endless-0');
    const other = first === second ? third : second;
    expect(attempts.map(({ peer, outcome }) => [peer, outcome])).toEqual([
      [first.name, 'failed'],
      [other.name, 'won'],
    ]);
    expect(attempts[0]!.detail).not.toBe('');
    expect(sentence).toContain('after 1 other attempt');
  });
});
