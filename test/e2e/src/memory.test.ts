import { type Host, Lab, LabMesh, memoryLimitAvailable, requireLab } from '@mesh/lab';
import type { JobReport } from '@mesh/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const MIB = 2 ** 20;
/** Room for an agent, a daemon and small builds. */
const SMALL_BYTES = 512 * MIB;
const HUNGRY_MIB = 700;

/** The kernel kills what takes more than its machine has. */
describe.skipIf(requireLab(['sid']) ?? !memoryLimitAvailable().ok)('a build that needs much memory', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let small: Host;
  let big: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [home, small, big] = lab.hosts as [Host, Host, Host];
    await small.memory(SMALL_BYTES);
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  async function hungry(...more: string[]): Promise<JobReport['derivations'][number]> {
    const args = workload('hungry', '--arg', 'mb', String(HUNGRY_MIB), '--not', home.name);
    const { code, stderr, report } = await mesh.build(home, [...args, ...more]);
    expect(code, stderr).toBe(0);
    return soundReport(report).derivations[0]!;
  }

  test('and is killed for it is no failed build: a bigger machine builds it', async () => {
    const { attempts, peer } = await hungry('--prefer', small.name);
    expect(attempts).toMatchObject([
      { peer: small.name, outcome: 'failed' },
      { peer: big.name, outcome: 'won' },
    ]);
    expect(attempts![0]!.detail).toMatch(/Killed|memory/);
    expect(peer).toBe(big.name);
  });

  test('goes to the bigger machine at once the next time', async () => {
    const { attempts, peer } = await hungry('--prefer', small.name);
    expect(peer).toBe(big.name);
    expect(attempts).toBeUndefined();
  });

  test('is tried where there is too little when that is all that was chosen, and fails as a machine does', async () => {
    const args = workload('hungry', '--arg', 'mb', String(HUNGRY_MIB), '--on', small.name);
    const { code, stderr } = await mesh.build(home, args);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/Killed|memory/);
  });
});
