import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outputsOf, readStore, validOn } from './host-store.ts';
import { workload, workloadFile } from './workload.ts';

/** A flake without inputs: two packages, the default one and one of two outputs. */
const FLAKE = `{
  outputs = { self }: let
    make = name: outputs: derivation {
      inherit name outputs; system = "x86_64-linux"; builder = "/bin/sh";
      args = [ "-c" "for output in $outputs; do eval echo $name $output '>' \\\\$$output; done" ];
    };
  in { packages.x86_64-linux = { default = make "plain" [ "out" ]; pair = make "pair" [ "out" "dev" ]; }; };
}`;

describe.skipIf(requireLab(['sid']))('what mesh build takes and gives', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let away: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2 });
    [home, away] = lab.hosts as [Host, Host];
    mesh = await LabMesh.up(lab);
    await home.writeFile('/root/flake/flake.nix', FLAKE);
  });
  afterAll(async () => lab?.down());

  /** Builds on the other machine, so that what is at home was brought there; answers the lines of stdout. */
  async function printed(args: readonly string[], cwd = '/root'): Promise<string[]> {
    const all = ['build', ...args, '--not', 'h1', '--no-link', '--print-out-paths'];
    const { stdout } = await mesh.run(home, all, { cwd });
    return stdout.trim().split('\n');
  }

  async function instantiate(args: readonly string[]): Promise<string> {
    const [, file, ...rest] = args;
    return (await home.exec(['nix-instantiate', file!, ...rest])).stdout.trim();
  }

  describe('installables', () => {
    test('an attribute of a file', async () => {
      const [path, ...more] = await printed(workload('shared', 'slow', '--argstr', 'seconds', '0'));
      expect(more).toEqual([]);
      expect(readStore(home, path!)).toBe('slow\n');
    });

    test('several attributes, each once, in their order', async () => {
      const work = workload('shared', 'left', 'slow', 'left', '--argstr', 'seconds', '0');
      const paths = await printed(work);
      expect(paths.map((path) => path.replace(/^.*-/, ''))).toEqual(['left', 'slow']);
    });

    test('a file that is one derivation', async () => {
      const [path] = await printed(workload('chain', '--arg', 'n', '2'));
      expect(path).toMatch(/-chain-1$/);
    });

    test('--arg takes an expression, --argstr a string', async () => {
      const work = workload('wide', '--arg', 'n', '1 + 2', '--argstr', 'seconds', '0');
      const [path] = await printed(work);
      expect(readStore(home, path!)).toBe('0\n1\n2\n');
      const [other] = await printed([...work, '--argstr', 'salt', 'the last one counts']);
      expect(other).not.toBe(path);
    });

    test('outputs of an attribute', async () => {
      const work = workload('multi');
      const names = async (installable: string) =>
        (await printed([...work, installable])).map((path) => path.replace(/^\/nix\/store\/[^-]*-/, ''));
      expect(await names('multi^doc')).toEqual(['multi-doc']);
      expect(await names('multi^lib,out')).toEqual(['multi-lib', 'multi']);
      expect(await names('multi')).toEqual(['multi']);
      expect(await names('multi^*')).toEqual(['multi-doc', 'multi-lib', 'multi']);
    });

    test('a .drv is all its outputs, a .drv^output that one', async () => {
      const drvPath = await instantiate(workload('multi', '-A', 'multi'));
      const all = outputsOf(home, drvPath);
      expect(all).toHaveLength(3);
      const [doc, ...more] = await printed([`${drvPath}^doc`]);
      expect(more).toEqual([]);
      expect(doc).toMatch(/-multi-doc$/);
      // It refers to nothing, so nothing else came with it.
      expect(await validOn(home, all)).toEqual([doc]);
      expect((await printed([drvPath])).sort()).toEqual([...all].sort());
      expect(await validOn(home, all)).toEqual(all);
    });

    test('flake references, from anywhere and in the folder of the flake', async () => {
      const [plain] = await printed(['/root/flake']);
      expect(readStore(home, plain!)).toBe('plain out\n');
      expect(await printed([], '/root/flake')).toEqual([plain]);
      expect(await printed(['.'], '/root/flake')).toEqual([plain]);
      expect(await printed(['path:/root/flake#default'])).toEqual([plain]);
      const [dev] = await printed(['.#pair^dev'], '/root/flake');
      expect(readStore(home, dev!)).toBe('pair dev\n');
    });

    test('an output that a derivation does not have is refused', async () => {
      const result = await mesh.build(home, workload('multi', 'multi^man'));
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/has no output "man"; its outputs are doc, lib, out\.\n$/);
    });
  });

  describe('results', () => {
    test('links are named as Nix names them', async () => {
      await home.exec(['mkdir', '-p', '/root/links']);
      const work = workload('multi', 'multi^*', 'dependant', '-o', 'x');
      await mesh.run(home, ['build', ...work], { cwd: '/root/links' });
      const links = (await home.exec(['ls', '/root/links'])).stdout.trim().split('\n');
      expect(links).toEqual(['x', 'x-1', 'x-doc', 'x-lib']);
      const target = (link: string) => readlinkSync(`${home.root}/root/links/${link}`);
      expect(target('x')).toMatch(/-multi$/);
      expect(target('x-lib')).toMatch(/-multi-lib$/);
      expect(readStore(home, target('x-1'))).toBe('library\ndocumentation\n');
    });

    test('an older link is replaced, a file of the user never', async () => {
      const link = '/root/mine';
      const build = (...more: string[]) =>
        mesh.run(home, ['build', ...workload('chain', '--arg', 'n', '1'), '-o', link, ...more], {
          check: false,
        });
      expect((await build()).code).toBe(0);
      const first = readlinkSync(home.root + link);
      expect((await build()).code).toBe(0);
      expect(readlinkSync(home.root + link)).not.toBe(first);
      await home.exec(['sh', '-c', `rm ${link} && echo precious > ${link}`]);
      const refused = await build();
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain(`${link} exists and is not a link into /nix/store`);
      expect(lstatSync(home.root + link).isSymbolicLink()).toBe(false);
    });

    test('--no-link makes none', async () => {
      await home.exec(['mkdir', '-p', '/root/none']);
      const args = ['build', ...workload('chain', '--arg', 'n', '1'), '--no-link'];
      const { stdout } = await mesh.run(home, args, { cwd: '/root/none' });
      expect(stdout).toBe('');
      expect(existsSync(`${home.root}/root/none/result`)).toBe(false);
    });

    test('--json names derivations and outputs, and nothing else is on stdout', async () => {
      const work = workload('multi', 'multi^*', 'dependant');
      const { stdout } = await mesh.run(home, ['build', ...work, '--no-link', '--json']);
      const [multi, dependant] = JSON.parse(stdout);
      expect(Object.keys(multi.outputs).sort()).toEqual(['doc', 'lib', 'out']);
      expect(Object.values(multi.outputs).sort()).toEqual(outputsOf(home, multi.drvPath).sort());
      expect(dependant.drvPath).toMatch(/-multi-dependant\.drv$/);
      expect(await validOn(home, Object.values(dependant.outputs))).toHaveLength(1);
    });
  });

  describe('--dry-run', () => {
    test('says what would be built and builds nothing', async () => {
      const work = workload('multi', 'dependant', '--dry-run');
      const { stdout, stderr } = await mesh.run(home, ['build', ...work, '--json'], { cwd: '/root' });
      const [dependant] = JSON.parse(stdout);
      expect(stderr).toMatch(
        /would build 2 derivations:\n {2}\/nix\/store\/.*\.drv\n {2}\/nix\/store\/.*\.drv\n/,
      );
      expect(stderr).toContain(dependant.drvPath);
      for (const host of lab.hosts) expect(await validOn(host, Object.values(dependant.outputs))).toEqual([]);
      expect(existsSync(`${home.root}/root/result`)).toBe(false);
    });

    test('says what would be fetched', async () => {
      const work = workload('multi', 'multi^*');
      await mesh.run(away, ['build', ...work, '--no-link', '--local']);
      const { stderr } = await mesh.run(home, ['build', ...work, '--dry-run']);
      expect(stderr).toBe('would fetch 3 paths\n');
    });

    test('says that everything is there', async () => {
      const work = workload('chain', '--arg', 'n', '1');
      await mesh.run(home, ['build', ...work, '--no-link']);
      const { stderr } = await mesh.run(home, ['build', ...work, '--dry-run']);
      expect(stderr).toBe('would build nothing: everything is there\n');
    });
  });

  describe('wrong usage ends with 2', () => {
    test.each([
      [['-f', workloadFile('wide'), '--bogus'], /unknown option '--bogus'/],
      [['--arg', 'n', '1', '/root/flake'], /--arg and --argstr are for the function in a file/],
      [['-f', workloadFile('wide'), '--local', '--on', 'h2'], /--local builds on this machine alone/],
      [['-f', workloadFile('wide'), '--on', 'h2', '--not', 'h2'], /h2 is in both --on and --not/],
      [[], /There is nothing to build/],
    ])('mesh build %j', async (args, said) => {
      const { code, stdout, stderr } = await mesh.run(home, ['build', ...args], {
        check: false,
        cwd: '/root',
      });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(said);
    });
  });
});
