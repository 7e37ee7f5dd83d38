import { type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import type { JobReport } from '@mesh/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outputsOf } from './host-store.ts';
import { sleepingBuilds, untilBuilding, untilNoBuilds } from './running-builds.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

/** What builds take where nothing is wrong: known from earlier builds, before a machine has trouble. */
const USUAL_SECONDS = 3;
/** Long enough that only a race can end the job in time. */
const HANGING_SECONDS = 600;
/** Long enough for a race to begin, if one may, and short enough to wait for the end. */
const SLOW_SECONDS = 20;
const EARLIER_BUILDS = 3;
const CANCELLED_WITHIN_MS = 1_000;

/** Three machines, one of which builds slower than anybody could know. */
describe.skipIf(requireLab(['sid']))('a race', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let slow: Host;
  let other: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3, sandboxPaths: ['/pace=/etc/pace'] });
    [home, slow, other] = lab.hosts as [Host, Host, Host];
    for (const host of lab.hosts) await pace(host, USUAL_SECONDS);
    mesh = await LabMesh.up(lab);
    const earlier = Array.from({ length: EARLIER_BUILDS }, async () => built(home, uneven(), '--local'));
    await Promise.all(earlier);
  });
  afterAll(async () => lab?.down());

  const uneven = (...attributes: string[]): string[] => workload('uneven', ...attributes);

  async function pace(host: Host, seconds: number | string): Promise<void> {
    await host.writeFile('/etc/pace', `${seconds}\n`);
  }

  async function built(host: Host, args: string[], ...more: string[]): Promise<JobReport> {
    const { code, stderr, report } = await mesh.build(host, [...args, ...more]);
    expect(code, stderr).toBe(0);
    return soundReport(report);
  }

  test('ends a job that hangs on one machine; the loser is stopped within a second, and what it cost is told', async () => {
    await pace(slow, HANGING_SECONDS);
    const report = built(home, uneven('even'), '--prefer', slow.name);
    await untilBuilding([slow]);
    const racer = await until('a race', 60_000, () => [home, other].find((host) => sleepingBuilds(host) > 0));
    await until('the end of the race', 30_000, () => sleepingBuilds(racer) === 0 || undefined);
    await untilNoBuilds([slow], CANCELLED_WITHIN_MS);
    const { races, wallMs, derivations } = await report;
    expect(wallMs).toBeLessThan(HANGING_SECONDS * 100);
    const [even] = derivations;
    expect(even).toMatchObject({ peer: racer.name, race: { won: true } });
    expect(even!.attempts).toMatchObject([
      { peer: slow.name, race: false, outcome: 'lost', detail: `${racer.name} was first` },
      { peer: racer.name, race: true, outcome: 'won' },
    ]);
    const [, ranS, expectedS] =
      /^Races h2, where it has run for ([\d.]+) s of the expected ([\d.]+) s: /.exec(even!.why) ?? [];
    expect(Number(ranS), even!.why).toBeGreaterThan(Number(expectedS));
    // Learned from the earlier builds; the speeds that loaded machines measure of themselves shift it.
    expect(Number(expectedS), even!.why).toBeGreaterThan(USUAL_SECONDS / 3);
    expect(Number(expectedS), even!.why).toBeLessThan(USUAL_SECONDS * 3);
    const [lost] = even!.attempts!;
    expect(races).toMatchObject({ count: 1, won: 1 });
    expect(races!.wastedMs).toBeGreaterThan(0);
    expect(Math.abs(races!.wastedMs - (lost!.endedMs! - lost!.startedMs!))).toBeLessThan(100);
  });

  test('is not for fixed-output and preferLocalBuild derivations', async () => {
    await pace(home, SLOW_SECONDS);
    const report = await built(home, uneven('fixed', 'local'));
    await pace(home, USUAL_SECONDS);
    expect(report.races).toMatchObject({ count: 0, wastedMs: 0 });
    for (const { peer, attempts, startedMs, finishedMs } of report.derivations) {
      expect(peer).toBe(home.name);
      expect(attempts).toBeUndefined();
      expect(finishedMs! - startedMs!).toBeGreaterThan(SLOW_SECONDS * 900);
    }
  });

  test('is not for what two machines have built differently, which the user is told', async () => {
    await pace(slow, SLOW_SECONDS);
    const [before] = (await built(home, uneven('unlike'), '--prefer', slow.name)).derivations;
    expect(before, 'not known yet to differ').toMatchObject({ race: { won: true } });

    // As slow as the others, in other words.
    await pace(slow, `0${USUAL_SECONDS}`);
    const unlike = uneven('unlike');
    const first = await built(home, unlike, '--on', slow.name);
    const { drvPath } = first.derivations[0]!;
    const [output] = outputsOf(home, drvPath);
    await forget(output!);

    const { code, stderr, report } = await mesh.build(home, [...unlike, '--on', other.name]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/unlike.*differ|differ.*unlike/);
    expect(soundReport(report).differing).toMatchObject([
      { name: 'unlike', output, first: { peer: slow.name }, second: { peer: other.name } },
    ]);

    await pace(slow, SLOW_SECONDS);
    const [after] = (await built(home, uneven('unlike'), '--prefer', slow.name)).derivations;
    expect(after).toMatchObject({ peer: slow.name });
    expect(after!.attempts).toBeUndefined();
  });

  /** Takes a path out of all stores; what roots it there ends with the agents. */
  async function forget(path: string): Promise<void> {
    for (const agent of mesh.agents.values()) {
      await agent.kill('SIGTERM');
      await agent.exited;
    }
    for (const host of lab.hosts) await host.exec(['nix-store', '--delete', '--ignore-liveness', path]);
    await Promise.all(lab.hosts.map((host) => mesh.startAgent(host)));
    await mesh.untilConnected();
  }
});
