import { availableParallelism } from 'node:os';
import { type ExecResult, type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtOn, closureOn, derivationOn, offerFeatures, readStore, validOn } from './host-store.ts';
import { workload } from './workload.ts';

const SOCKET = 'unix:///run/mesh/nix.sock';
const FEATURES = ['foo', 'bar', 'baz'] as const;
/** Generous, for a crowded test machine. */
const WITHIN_MS = 120_000;

/** What Nix's own tests of distributed building demand (tests/functional/build-remote*.sh, tests/nixos/remote-builds*.nix). */
describe.skipIf(requireLab(['sid']))("Nix's own demands, at the daemon socket", () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let workers: Host[];

  beforeAll(async () => {
    lab = await Lab.up({
      hosts: 1 + FEATURES.length,
      nixConf: 'extra-experimental-features = ca-derivations\ncores = 0\n',
    });
    [home, ...workers] = lab.hosts as [Host, ...Host[]];
    await Promise.all(FEATURES.map((feature, index) => offerFeatures(workers[index]!, feature)));
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  const nix = (command: readonly string[], remote = SOCKET): Promise<ExecResult> =>
    home.exec(['env', `NIX_REMOTE=${remote}`, ...command], {
      check: false,
      timeoutMs: WITHIN_MS,
      cwd: '/root',
    });
  /** A store path that a command prints alone. */
  const pathOf = async (command: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await nix(command);
    expect(code, stderr).toBe(0);
    return stdout.trim();
  };

  test.each(['input', 'fixed', 'floating'])(
    'each input is built where its feature is, and only there its builder is known (%s)',
    async (kind) => {
      const args = workload('three-features', '--argstr', 'kind', kind);
      const drv = await pathOf(['nix-instantiate', ...args.slice(1)]);
      const out = await pathOf(['nix-build', ...args.slice(1), '--no-out-link']);
      const salt = args[args.indexOf('salt') + 1]!;
      expect(readStore(home, out)).toBe(`FOO ${salt}\nBAR ${salt}\nBAZ ${salt}\n`);
      for (const [index, feature] of FEATURES.entries()) {
        const { inputDrvs } = derivationOn(home, drv);
        const input = [...inputDrvs.keys()].find((path) => path.endsWith(`-input-${feature}.drv`))!;
        const builder = derivationOn(home, input).args[0]!;
        const knowing: string[] = [];
        for (const worker of workers)
          if ((await validOn(worker, [builder])).length > 0) knowing.push(worker.name);
        expect(knowing, builder).toEqual([workers[index]!.name]);
      }
      // Again, and by the other command: what is there is no work.
      expect(await pathOf(['nix', 'build', ...args, '--no-link', '--print-out-paths'])).toBe(out);
      if (kind !== 'floating') return;
      // Whoever asks this store later learns the path without building.
      const realised = await nix(
        ['nix', 'build', ...args, '--no-link', '--print-out-paths', '-j0'],
        'daemon',
      );
      expect(realised, realised.stderr).toMatchObject({ code: 0, stdout: `${out}\n` });
    },
  );

  test('several outputs, one of which refers to itself and another, made elsewhere', async () => {
    const args = workload('routed', '--argstr', 'features', 'foo');
    const [out, more] = (await pathOf(['nix-build', ...args.slice(1), '-A', 'all', '--no-out-link'])).split(
      '\n',
    );
    expect(readStore(home, out!)).toContain(`from an input ${more!.replace(/-more$/, '')}`);
    expect(await closureOn(home, more!)).toContain(more);
    expect(await builtOn(lab.hosts, out!)).toEqual(['h2']);
  });

  test('a failed build elsewhere fails here, with its lines', async () => {
    const args = workload('routed', '--argstr', 'features', 'bar', '--arg', 'fails', 'true');
    const { code, stderr } = await nix(['nix', 'build', '-L', ...args, '--no-link']);
    expect(code).toBe(1);
    expect(stderr).toContain('a line of the log');
    expect(stderr).toMatch(/builder failed with exit code 3/);
  });

  test('lines are shown, no @nix among them, and the log has the phases', async () => {
    const args = workload('phases', '--argstr', 'feature', 'baz');
    const { code, stderr } = await nix(['nix', 'build', '-L', ...args, '--no-link']);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/phases> a line of the second phase/);
    expect(stderr).not.toContain('@nix');
    const drv = await pathOf(['nix-instantiate', ...args.slice(1)]);
    for (const show of [
      ['nix-store', '--read-log'],
      ['nix', 'log'],
    ]) {
      const { stdout } = await nix([...show, drv]);
      expect(stdout, show[0]).toContain('a line of the second phase');
      expect(stdout, show[0]).toMatch(/^@nix .*"setPhase".*"secondPhase"/m);
    }
  });

  describe('what the client allows its builds holds on the machine that builds', () => {
    const limited = (seconds: number): string[] =>
      workload('limited', '--argstr', 'feature', 'foo', '--argstr', 'seconds', `${seconds}`);

    test.each(['--max-silent-time', '--timeout'])('%s', async (option) => {
      const ends = async (remote?: string, feature = 'foo'): Promise<ExecResult> => {
        const args = [...limited(1_000).slice(1), '--argstr', 'feature', feature, option, '2'];
        return nix(['nix-build', ...args, '--no-out-link'], remote);
      };
      const [mine, real] = [await ends(), await ends('daemon', '')];
      expect(mine.stderr).toMatch(/timed out after 2 seconds/);
      expect(mine.code).toBe(real.code);
    });

    test('--cores', async () => {
      const coresOf = async (...options: string[]): Promise<string> =>
        readStore(home, await pathOf(['nix-build', ...limited(0).slice(1), '--no-out-link', ...options]));
      expect(await coresOf('--cores', '1')).toBe('1\n');
      // A lone build has the machine.
      expect(Number(await coresOf())).toBe(availableParallelism());
    });
  });

  test('a worker behind a firewall is left out', async () => {
    await workers[0]!.link('down');
    try {
      const args = workload('wide', '--arg', 'n', '6');
      const out = await pathOf(['nix-build', ...args.slice(1), '--no-out-link']);
      expect(readStore(home, out)).toBe('0\n1\n2\n3\n4\n5\n');
      expect(await builtOn([home, ...workers.slice(1)], out)).toHaveLength(1);
    } finally {
      await workers[0]!.link('up');
    }
    await until('the worker to be back', WITHIN_MS, async () => {
      const { members } = await mesh.peers(home);
      return members.every(({ connected }) => connected) || undefined;
    });
  });
});
