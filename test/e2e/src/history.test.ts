import { type Host, Lab, LabMesh, type Report, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

/** Far from what a build of unknown name is taken to last, and from the command around it. */
const BUILD_SECONDS = 6;
const HEARD_TIMEOUT_MS = 30_000;

/** Two members that build, and a third machine that joins them afterwards: the tests stand in this order. */
describe.skipIf(requireLab(['sid']))('what builds took', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let first: Host;
  let second: Host;
  let third: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [first, second, third] = lab.hosts as [Host, Host, Host];
    mesh = await LabMesh.up(lab, { join: false });
    await mesh.join(second, first);
    await mesh.untilConnected([first, second]);
  });
  afterAll(async () => lab?.down());

  const wide = (seconds: number) =>
    workload('wide', '--arg', 'n', '1', '--argstr', 'seconds', String(seconds));

  /** Builds what nobody has, on this host alone; why the derivation of this name was built where it was. */
  async function whyOf(host: Host, name: string, seconds: number): Promise<string> {
    const { code, stderr, report } = await mesh.build(host, [...wide(seconds), '--local']);
    expect(code, stderr).toBe(0);
    const sound: Report = soundReport(report);
    return sound.derivations.find((derivation) => derivation.name === name)?.why ?? '';
  }

  test('is not known of a name that nobody has built', async () => {
    const [why] = await Promise.all([
      whyOf(first, 'wide-0', BUILD_SECONDS),
      whyOf(second, 'wide-0', BUILD_SECONDS),
    ]);
    expect(why).toContain('never seen before');
  });

  test('is known to a machine on its first day, from the members it has joined', async () => {
    await mesh.join(third, first);
    await mesh.untilConnected();
    // The crumb beside it is enough to ask with, again and again.
    await until('the third host to have heard of the others’ builds', HEARD_TIMEOUT_MS, async () => {
      const why = await whyOf(third, 'wide', 0);
      return why.includes('of this name') ? true : undefined;
    });
  });

  test('is predicted there within a factor of two', async () => {
    const why = await whyOf(third, 'wide-0', BUILD_SECONDS);
    const said = /predicted ([\d.]+) s from (\d+) builds? of this name/.exec(why);
    expect(said, why).not.toBeNull();
    const predicted = Number(said?.[1]);
    expect(predicted).toBeGreaterThan(BUILD_SECONDS / 2);
    expect(predicted).toBeLessThan(BUILD_SECONDS * 2);
  });

  test('outlives the agent', async () => {
    const agent = mesh.agents.get(third.name);
    await agent?.kill('SIGTERM');
    await agent?.exited;
    await mesh.startAgent(third);
    expect(await whyOf(third, 'wide-0', 1)).toMatch(/from \d+ builds of this name/);
  });
});
