import { type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import type { JobReport } from '@mesh/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const LENGTH = 31;

describe.skipIf(requireLab(['sid']))('a chain of short derivations', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2 });
    [home] = lab.hosts as [Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  async function built(): Promise<JobReport> {
    const { code, stderr, report } = await mesh.build(home, [
      ...workload('chain', '--arg', 'n', String(LENGTH)),
      ...['--not', home.name],
    ]);
    expect(code, stderr).toBe(0);
    const sound = soundReport(report);
    expect(sound.derivations).toHaveLength(LENGTH);
    return sound;
  }

  const following = ({ derivations }: JobReport) =>
    derivations.filter(({ why }) => why.startsWith('Follows '));

  test('goes link by link while nobody knows how long they take', async () => {
    const report = await built();
    console.log(`a chain of unknown derivations: ${(report.wallMs / LENGTH).toFixed(1)} ms each`);
    expect(following(report)).toEqual([]);
  });

  test('goes to another machine as one lease once that is known', async () => {
    const report = await built();
    console.log(`a chain of known derivations: ${(report.wallMs / LENGTH).toFixed(1)} ms each`);
    const links = following(report);
    expect(links).toHaveLength(LENGTH - 1);
    const byName = new Map(report.derivations.map((derivation) => [derivation.name, derivation]));
    for (const { name, peer, attempt, why, leasedMs, readyMs } of links) {
      const before = byName.get(`chain-${Number(name.slice('chain-'.length)) - 1}`)!;
      expect(why).toContain(`Follows ${before.name} in its slot on ${peer}: `);
      expect(peer).toBe(before.peer);
      expect(attempt).toBe(1);
      // It needed no word of the home any more.
      expect(leasedMs).toBe(readyMs);
    }
  });
});
