import { type Host, IMAGES, type Image, Lab, LabMesh, nixVersionOf, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closureOn, outputsOf, readStore } from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const WIDE = 9;

describe.skipIf(requireLab())('a mesh of machines with different versions of Nix', () => {
  let lab: Lab;
  let mesh: LabMesh;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: IMAGES.length, image: IMAGES });
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  test('tells the version of each', async () => {
    const { members } = JSON.parse((await mesh.run(lab.hosts[0]!, ['peers', '--json'])).stdout);
    for (const host of lab.hosts) {
      const { nixVersion } = members.find(({ name }: { name: string }) => name === host.name);
      expect(nixVersion.startsWith(`${nixVersionOf(host.image)}.`), `${host.image}: ${nixVersion}`).toBe(
        true,
      );
    }
  });

  describe.each(IMAGES)('at home on %s', (image: Image) => {
    const homeOf = (): Host => lab.hosts.find((host) => host.image === image)!;

    test('a build spreads over all, and its result is valid at home', async () => {
      const home = homeOf();
      const { code, stderr, report } = await mesh.build(home, workload('wide', '--arg', 'n', `${WIDE}`));
      expect(code, stderr).toBe(0);
      const { derivations, peers } = soundReport(report);
      for (const { name, builds } of peers) expect(builds, `builds on ${name}`).toBeGreaterThan(0);
      expect(peers).toHaveLength(IMAGES.length);
      const { drvPath } = derivations.find(({ name }) => name === 'wide')!;
      const [output] = outputsOf(home, drvPath);
      await home.exec(['nix-store', '--verify-path', output!]);
      expect(readStore(home, output!)).toBe(Array.from({ length: WIDE }, (_, i) => `${i}\n`).join(''));
    });

    test('closures and logs come home from each of the others', async () => {
      const home = homeOf();
      for (const other of lab.hosts.filter((host) => host !== home)) {
        const args = [...workload('closure', 'top'), '--on', other.name, '--print-out-paths'];
        const { code, stdout, stderr } = await mesh.build(home, args);
        expect(code, `${other.image}: ${stderr}`).toBe(0);
        const closure = await closureOn(home, stdout.trim());
        expect(closure).toHaveLength(6);
        await home.exec(['nix-store', '--verify-path', ...closure]);

        const noisy = await mesh.build(home, [
          ...workload('noisy', '--arg', 'lines', '9'),
          '--on',
          other.name,
          '--json',
        ]);
        expect(noisy.code, `${other.image}: ${noisy.stderr}`).toBe(0);
        const [{ drvPath }] = JSON.parse(noisy.stdout);
        const { stdout: log } = await home.exec(['nix-store', '--read-log', drvPath]);
        expect(log.split('\n')).toHaveLength(10);
      }
    });

    test('a failed build is a failed build', async () => {
      const home = homeOf();
      for (const { name } of lab.hosts) {
        const { code, stderr } = await mesh.build(home, workload('fail', 'failing', '--on', name));
        expect(code, stderr).toBe(100);
        expect(stderr.match(/this line comes before the failure/g), stderr).toHaveLength(1);
        expect(stderr).toMatch(/failed to build failing after .*: .*failed with exit code 1/);
      }
    });
  });
});
