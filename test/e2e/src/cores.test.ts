import { type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import type { JobReport } from '@mesh/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outputsOf, readStore } from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

/** What builds are told of cores, as they wrote it down themselves. */
describe.skipIf(requireLab(['sid']))('cores of a build', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2, nixConf: 'cores = 0' });
    [home] = lab.hosts as [Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  /** Builds so many side by side; the report, and how many cores each of them was given. */
  async function given(n: number, ...more: string[]): Promise<{ report: JobReport; cores: number[] }> {
    const {
      code,
      stderr,
      report: written,
    } = await mesh.build(home, [...workload('cores', '--arg', 'n', String(n)), ...more]);
    expect(code, stderr).toBe(0);
    const report = soundReport(written);
    const root = report.derivations.find(({ name }) => name === 'cores')!;
    const [output] = outputsOf(home, root.drvPath);
    return { report, cores: readStore(home, output!).trim().split('\n').map(Number) };
  }

  const coresOf = (report: JobReport, peer: string): number =>
    report.peers.find(({ name }) => name === peer)!.cores!;

  test('are all of its machine where it is alone, whichever machine that is', async () => {
    for (const { name } of lab.hosts) {
      const { report, cores } = await given(1, '--on', name);
      expect(coresOf(report, name)).toBeGreaterThan(1);
      expect(cores).toEqual([coresOf(report, name)]);
    }
  });

  test('are one each where many are ready', async () => {
    const { cores } = await given(24);
    expect(cores).toEqual(Array.from({ length: 24 }, () => 1));
  });

  test('are what was reported, and never more than the machine has', async () => {
    for (const n of [1, 2, 3, 5, 8]) {
      const { report, cores } = await given(n, '--argstr', 'seconds', '0.5');
      const reported = report.derivations.filter(({ name }) => name !== 'cores').map((each) => each.cores);
      expect(reported.sort()).toEqual(cores.sort());
    }
  });
});
