import { type ExecResult, type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addNixConf, builtOn, outputsOf, readStore, validOn } from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const SOCKET_ENV = ['env', 'NIX_REMOTE=unix:///run/mesh/nix.sock'];
const FEATURES = ['foo', 'bar', 'baz'] as const;

/** An account that nix-daemon does not trust, and that root of any host may log in to. */
const ADD_GUEST = `
echo guest:x:4711:4711::/home/guest:/bin/sh >> /etc/passwd
echo 'guest:*:19000:0:99999:7:::' >> /etc/shadow
mkdir -p /home/guest/.ssh && cp /root/.ssh/authorized_keys /home/guest/.ssh/authorized_keys
chown -R 4711:4711 /home/guest && chmod -R go= /home/guest/.ssh
`;

/** What upstream's own tests of distributed building ask of it, asked of builders that have nothing of the mesh. */
describe.skipIf(requireLab(['sid']))(
  'distributed building as Nix does it, on builders without an agent',
  () => {
    let lab: Lab;
    let mesh: LabMesh;
    let home: Host;
    let routed: readonly Host[];
    let guest: Host;

    beforeAll(async () => {
      lab = await Lab.up({
        hosts: 5,
        sshd: true,
        nixConf: 'extra-experimental-features = ca-derivations\n',
      });
      [home, ...routed] = lab.hosts as [Host, ...Host[]];
      guest = routed[3]!;
      routed = routed.slice(0, 3);
      await Promise.all([
        ...FEATURES.map((feature, at) => addNixConf(routed[at]!, `extra-system-features = ${feature}\n`)),
        addNixConf(guest, 'extra-system-features = guest\n'),
        guest.exec(['sh', '-ec', ADD_GUEST]),
      ]);
      const lines = FEATURES.map((feature, at) => {
        const scheme = at === 1 ? 'ssh' : 'ssh-ng';
        return `${scheme}://root@${routed[at]!.name} - - 2 1 ${feature},ca-derivations\n`;
      });
      await home.writeFile(
        '/etc/nix/machines',
        `${lines.join('')}ssh-ng://guest@${guest.name} - - 2 1 guest,ca-derivations\n`,
      );
      mesh = await LabMesh.up(lab, { hosts: [home] });
    });
    afterAll(async () => lab?.down());

    async function build(...args: string[]) {
      const { code, stdout, stderr, report } = await mesh.build(home, [...args, '--print-out-paths']);
      expect(code, stderr).toBe(0);
      return {
        out: stdout.trim(),
        stderr,
        derivations: soundReport(report, Number.POSITIVE_INFINITY).derivations,
      };
    }

    /** Nix's own command, at the agent's daemon socket. */
    const nix = (...command: string[]): Promise<ExecResult> =>
      home.exec([...SOCKET_ENV, ...command], { check: false, timeoutMs: 120_000, cwd: '/root' });

    const instantiate = async (args: readonly string[], attribute: string): Promise<string> =>
      (await home.exec(['nix-instantiate', ...args.slice(1), '-A', attribute])).stdout.trim();

    /** The script that a part is made by, as its derivation names it. */
    async function scriptOf(args: readonly string[], feature: string): Promise<string> {
      const drvPath = await instantiate(args, feature);
      const { stdout } = await home.exec(['nix-store', '--query', '--references', drvPath]);
      return stdout
        .trim()
        .split('\n')
        .find((path) => path.endsWith('.sh'))!;
    }

    test.each(['input', 'fixed', 'floating'])(
      'of %s-addressed parts each is built where its feature is',
      async (mode) => {
        const args = workload('parts', '--argstr', 'mode', mode);
        const { out, derivations } = await build(...args, 'whole');
        expect(readStore(home, out)).toMatch(/^FOO BAR BAZ \w+\n$/);
        for (const [at, feature] of FEATURES.entries()) {
          expect(derivations.find(({ name }) => name === `part-${feature}`)?.peer, feature).toBe(
            routed[at]!.name,
          );
          // No other machine was even given what it takes to build it.
          const script = await scriptOf(args, feature);
          const holders = await Promise.all(
            routed.map(async (host) => (await validOn(host, [script])).length),
          );
          expect(holders, script).toEqual(FEATURES.map((each) => (each === feature ? 1 : 0)));
        }
        await home.exec(['nix-store', '--verify-path', out]);
        // Nix itself finds all of it: what it takes is registered here.
        const again = await home.exec(
          [
            'nix-build',
            ...args.slice(1),
            '-A',
            'whole',
            '--no-out-link',
            '--max-jobs',
            '0',
            '--builders',
            '',
          ],
          { check: false },
        );
        expect(again.code, again.stderr).toBe(0);
        expect(again.stdout.trim()).toBe(out);
      },
    );

    test('several outputs, one of which names itself, come home with their references', async () => {
      const { derivations } = await build(...workload('routed', '--argstr', 'features', 'bar'));
      const { drvPath, peer } = derivations.find(({ name }) => name === 'routed')!;
      expect(peer).toBe(routed[1]!.name);
      const [more, out] = outputsOf(home, drvPath);
      const references = async (path: string): Promise<string[]> =>
        (await home.exec(['nix-store', '--query', '--references', path])).stdout.trim().split('\n');
      expect(await references(more!)).toEqual([more]);
      expect(await references(out!)).toContain(more);
    });

    test('log lines and phases are seen as they come, and kept for `nix log`', async () => {
      const args = workload('parts');
      const command = ['nix', 'build', ...args, 'foo', '--no-link', '-L'];
      const { code, stderr } = await nix(...command);
      expect(code, stderr).toBe(0);
      expect(stderr).toMatch(/^part-foo> hello from foo$/m);
      expect(stderr).not.toContain('@nix');
      const drvPath = await instantiate(args, 'foo');
      for (const reader of [
        ['nix-store', '--read-log'],
        ['nix', 'log'],
      ]) {
        const log = (await home.exec([...reader, drvPath])).stdout;
        expect(log).toContain('hello from foo');
        expect(log).toContain('fooPhase');
      }
      const told = await nix(
        'nix',
        'build',
        ...workload('parts'),
        'bar',
        '--no-link',
        '--log-format',
        'internal-json',
      );
      expect(told.code, told.stderr).toBe(0);
      // 104 is the result type of a phase.
      expect(told.stderr).toMatch(/"fields":\["barPhase"\][^\n]*"type":104/);
    });

    test('a build that fails there fails here, with its log', async () => {
      const args = workload('routed', '--argstr', 'features', 'baz', '--arg', 'fails', 'true');
      const { code, stderr } = await nix('nix-build', ...args.slice(1), '--no-out-link');
      expect(code).not.toBe(0);
      expect(stderr).toContain('a line of the log');
      expect(stderr).toContain('builder failed with exit code 3');
    });

    describe('by an account that its nix-daemon does not trust', () => {
      test('input-addressed derivations are built, with their inputs', async () => {
        const args = workload('routed', '--argstr', 'features', 'guest');
        const { derivations } = await build(...args, '--on', guest.name);
        expect(derivations.map(({ peer }) => peer)).toEqual([guest.name, guest.name]);
        const { drvPath } = derivations.find(({ name }) => name === 'routed')!;
        const [, out] = outputsOf(home, drvPath);
        expect(await builtOn([guest], out!)).toEqual([guest.name]);
        await home.exec(['nix-store', '--verify-path', out!]);
      });

      test('derivations with a known hash are built', async () => {
        const { derivations } = await build(...workload('fixed'), 'fixed', '--on', guest.name);
        expect(derivations).toMatchObject([{ name: 'fixed', peer: guest.name }]);
      });

      test('an input built elsewhere that nobody signed is refused, in a sentence that says so', async () => {
        const args = workload('routed', '--argstr', 'features', 'guest');
        const drvPath = (await home.exec(['nix-instantiate', ...args.slice(1)])).stdout.trim();
        const { stdout } = await home.exec(['nix-store', '--query', '--references', drvPath]);
        const input = stdout.split('\n').find((path) => path.endsWith('routed-input.drv'))!;
        await home.exec(['nix-store', '--realise', input]);
        const { code, stderr } = await mesh.build(home, args);
        expect(code).toBe(1);
        const said = stderr.split('\n').filter((line) => line.includes('signature'));
        expect(said.length, stderr).toBeGreaterThan(0);
        for (const line of said)
          expect(line).toMatch(
            /cannot add path .*routed-input.* lacks a signature by a trusted key: .*trusted-users/,
          );
      });

      test('`mesh peers` and `mesh doctor` say what it costs and what to do', async () => {
        const said = (await mesh.run(home, ['peers'])).stdout;
        expect(said).toMatch(/h5: .*does not trust guest.*trusted-users/);
        const findings = (await mesh.run(home, ['doctor'], { check: false })).stdout;
        expect(findings).toMatch(/does not trust guest/);
      });
    });

    test('a builder behind a firewall is passed over, and the build ends', async () => {
      const blocked = routed[0]!;
      // Packets are dropped without a word, in the middle of what it has to do.
      const building = build(...workload('wide', '--arg', 'n', '12'));
      await until(`${blocked.name} to build`, 60_000, () => blocked.buildProcesses().length > 0 || undefined);
      await blocked.exec(['ip', 'route', 'add', 'blackhole', `${home.address}/32`]);
      const { derivations } = await building;
      expect(derivations.filter(({ outcome }) => outcome === 'built')).toHaveLength(13);
      const trouble = await until('the trouble to be told', 60_000, async () => {
        const { builders } = JSON.parse((await mesh.run(home, ['peers', '--json'])).stdout);
        return builders.find(({ name }: { name: string }) => name === blocked.name).trouble;
      });
      expect((await mesh.run(home, ['status'])).stdout).toContain(trouble);
      // The next build does not wait for it.
      await build(...workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0'));
    });
  },
);
