import { type Host, type HostProcess, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workload } from './workload.ts';

describe.skipIf(requireLab(['sid']))('a machine that two others submit to', () => {
  let lab: Lab;
  let first: Host;
  let second: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [first, second] = lab.hosts as [Host, Host, Host];
    await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  /** Builds that sleep a second each, on the third machine's two slots alone. */
  const job = (host: Host, n: number, ...more: string[]): HostProcess =>
    host.spawn([
      'mesh',
      'build',
      ...workload('endless', '--arg', 'n', `${n}`, '--argstr', 'seconds', '1'),
      '--no-link',
      ...more,
      '--on',
      'h3',
    ]);

  const built = (build: HostProcess): number => build.stderr.text().match(/built endless-\d/g)?.length ?? 0;

  /** Waits until the machine has done so many builds since both jobs have had one; how many of them were whose. */
  async function shareOf(n: number, a: HostProcess, b: HostProcess): Promise<[number, number]> {
    await until('a build of each', 60_000, () => (built(a) > 0 && built(b) > 0) || undefined);
    const [ofA, ofB] = [built(a), built(b)];
    await until(`${n} builds`, 120_000, () => built(a) + built(b) - ofA - ofB >= n || undefined);
    return [built(a) - ofA, built(b) - ofB];
  }

  test('gives both about as many slots', async () => {
    const builds = [job(first, 16), job(second, 16)] as const;
    const [one, other] = await shareOf(12, ...builds);
    expect(Math.abs(one - other), `${one} and ${other} builds`).toBeLessThanOrEqual(3);
    for (const build of builds) expect(await build.exited, build.stderr.text()).toEqual({ code: 0 });
  });

  test('gives the more to the job with the higher priority, and something to the other', async () => {
    const builds = [job(first, 24, '--priority', 'high'), job(second, 24, '--priority', 'normal')] as const;
    const [high, normal] = await shareOf(15, ...builds);
    expect(high, `${high} and ${normal} builds`).toBeGreaterThanOrEqual(2 * normal);
    expect(normal).toBeGreaterThanOrEqual(1);
    for (const build of builds) expect(await build.exited, build.stderr.text()).toEqual({ code: 0 });
  });
});
