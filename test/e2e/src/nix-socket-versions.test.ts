import { type ExecResult, type Host, IMAGES, type Image, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readStore } from './host-store.ts';
import { workload } from './workload.ts';

describe.skipIf(requireLab())('plain Nix of three versions at the daemon socket of its agent', () => {
  let lab: Lab;
  let mesh: LabMesh;

  beforeAll(async () => {
    lab = await Lab.up({
      hosts: IMAGES.length,
      image: IMAGES,
      nixConf: 'extra-experimental-features = ca-derivations\n',
    });
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  describe.each(IMAGES)('on %s', (image: Image) => {
    const homeOf = (): Host => lab.hosts.find((host) => host.image === image)!;
    const nix = (remote: string, command: readonly string[]): Promise<ExecResult> =>
      homeOf().exec(['env', `NIX_REMOTE=${remote}`, ...command], {
        check: false,
        timeoutMs: 120_000,
        cwd: '/root',
      });
    const SOCKET = 'unix:///run/mesh/nix.sock';

    test('builds on all machines', async () => {
      const [, file, ...args] = workload('wide', '--arg', 'n', '9');
      const { code, stdout, stderr } = await nix(SOCKET, ['nix-build', file!, ...args, '--no-out-link']);
      expect(code, stderr).toBe(0);
      expect(readStore(homeOf(), stdout.trim())).toBe('0\n1\n2\n3\n4\n5\n6\n7\n8\n');
      const report = JSON.parse((await mesh.run(homeOf(), ['report', '--json'])).stdout);
      for (const { name, builds } of report.peers) expect(builds, `builds on ${name}`).toBeGreaterThan(0);
    });

    test('shows the log of `nix build -L` and keeps it', async () => {
      const args = workload('noisy', '--arg', 'lines', '5');
      const { code, stderr } = await nix(SOCKET, ['nix', 'build', '-L', ...args, '--no-link']);
      expect(code, stderr).toBe(0);
      expect(stderr.match(/^noisy[^>\n]*> /gm), stderr).toHaveLength(5);
      const [, file, ...more] = args;
      const drv = (await nix(SOCKET, ['nix-instantiate', file!, ...more])).stdout.trim();
      const log = await nix(SOCKET, ['nix-store', '--read-log', drv]);
      expect(log.stdout.trim().split('\n')).toHaveLength(5);
    });

    test('knows what a content-addressed derivation came to on a machine of another version', async () => {
      const [, file, ...args] = workload('content-addressed');
      const build = ['nix-build', file!, ...args, '-A', 'addressed', '--no-out-link', '--max-jobs', '0'];
      const { code, stdout, stderr } = await nix(SOCKET, build);
      expect(code, stderr).toBe(0);
      expect(readStore(homeOf(), stdout.trim())).toMatch(/^content of /);
      expect(await nix('daemon', build)).toMatchObject({ code: 0, stdout });
    });

    test('fails with the exit code of the real daemon, and says why', async () => {
      const run = (remote: string): Promise<ExecResult> => {
        const [, file, ...args] = workload('fail');
        return nix(remote, ['nix-build', file!, ...args, '-A', 'failing', '--no-out-link']);
      };
      const mine = await run(SOCKET);
      expect(mine.code, mine.stderr).toBe((await run('daemon')).code);
      expect(mine.stderr).toContain('this line comes before the failure');
      expect(mine.stderr).toMatch(/failed with exit code 1/);
    });
  });
});
