import { type ExecOptions, type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workload, workloadFile } from './workload.ts';

describe.skipIf(requireLab(['sid']))('what is asked for wrongly', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let host: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 1 });
    [host] = lab.hosts as [Host];
    mesh = await LabMesh.up(lab);
    await host.exec(['useradd', '--create-home', 'guest']);
    await host.exec(['mkdir', '-p', '/root/own']);
  });
  afterAll(async () => lab?.down());

  /** A command that is refused: with this exit code, and one sentence of ours that matches. */
  async function refused(
    args: readonly string[],
    code: number,
    sentence: RegExp,
    options: ExecOptions = {},
  ): Promise<string> {
    const result = await mesh.run(host, args, { check: false, timeoutMs: 30_000, ...options });
    const ours = result.stderr.split('\n').filter((line) => line.startsWith('mesh: error: '));
    expect(ours, result.stderr).toHaveLength(1);
    expect(ours[0]).toMatch(sentence);
    expect(ours[0]).toMatch(/[.…]$/);
    expect(result.stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
    expect(result.stdout).toBe('');
    expect(result.code).toBe(code);
    return result.stderr;
  }

  const build = (...args: string[]) => ['build', '--no-link', ...args];

  async function expectWorking(): Promise<void> {
    await mesh.run(host, build(...workload('wide', '--arg', 'n', '1', '--argstr', 'seconds', '0')));
  }

  describe('a build', () => {
    test('of a file that is not there', async () => {
      await refused(build('-f', '/root/none.nix'), 1, /none\.nix: this file does not exist/);
    });

    test('of an attribute that is not there, or is no derivation', async () => {
      const said = await refused(build('-f', workloadFile('fail'), 'nope'), 1, /nope/);
      expect(said).toContain("attribute 'nope'");
      await host.writeFile('/root/number.nix', '{ x = 1; }');
      await refused(build('-f', '/root/number.nix', 'x'), 1, /x/);
    });

    test('of a file that is no Nix', async () => {
      await host.writeFile('/root/syntax.nix', '{ a = ');
      expect(await refused(build('-f', '/root/syntax.nix'), 1, /syntax\.nix/)).toContain('syntax error');
    });

    test('of a .drv that is not there, that is garbled, or that has no such output', async () => {
      const drv = (name: string) => `/nix/store/${'0'.repeat(32)}-${name}.drv`;
      await refused(build(drv('absent')), 1, /absent\.drv/);
      await host.writeFile(drv('garbled'), 'Derive([("out",');
      await refused(build(drv('garbled')), 1, /garbled\.drv/);
      await host.writeFile(drv('binary'), Buffer.from([0, 1, 2, 255, 254]));
      await refused(build(drv('binary')), 1, /binary\.drv/);
      await host.exec(['rm', drv('garbled'), drv('binary')]);
      const path = (await host.exec(['nix-instantiate', workloadFile('wide')])).stdout.trim();
      await refused(build(`${path}^nope`), 1, /no output "nope"; its outputs are out/);
    });

    test('of a .drv this user may not read', async () => {
      const path = (await host.exec(['nix-instantiate', workloadFile('chain')])).stdout.trim();
      await host.exec(['chmod', '000', path]);
      await refused(build(path), 1, /chain-30\.drv.*/, { user: 'guest' });
      await host.exec(['chmod', '444', path]);
    });

    test('on a machine that is not in the mesh', async () => {
      await refused(build('-f', workloadFile('wide'), '--on', 'h9'), 2, /called h9; there are h1/);
    });

    test('for a system no machine has', async () => {
      const expression = `derivation { name = "foreign"; system = "mips-plan9"; builder = "/bin/sh"; }`;
      await host.writeFile('/root/foreign.nix', expression);
      const { code, stderr } = await mesh.run(host, build('-f', '/root/foreign.nix'), { check: false });
      expect(stderr).toMatch(
        /No machine can build foreign, which needs the system mips-plan9 .*; add a machine/,
      );
      expect(code).toBe(1);
    });

    test('leaves the agent as it was', expectWorking);
  });

  describe('another user of the machine', () => {
    const guest = { user: 'guest', cwd: '/tmp' };

    test('may build, and see', async () => {
      const args = build(
        ...workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0'),
        '--print-out-paths',
      );
      const { stdout } = await mesh.run(host, args, guest);
      expect(stdout).toMatch(/^\/nix\/store\/.*-wide\n$/);
      expect((await mesh.run(host, ['peers'], guest)).stdout).toContain('h1');
    });

    test('may not invite, join or remove', async () => {
      const notPermitted = /may|permi/;
      await refused(['invite'], 1, notPermitted, guest);
      await refused(['remove', 'h1'], 1, notPermitted, guest);
      await refused(['join'], 1, notPermitted, { ...guest, input: 'mesh1aaaa' });
    });
  });

  describe('an agent', () => {
    const agent = (...more: string[]) => ['agent', '--state-dir', '/root/own', '--listen', '0', ...more];
    const stateFile = (name: string, content: string) =>
      host.exec(['sh', '-c', 'cat >"/root/own/$0" && chmod 600 "/root/own/$0"', name], { input: content });
    const forget = () => host.exec(['sh', '-c', 'rm -rf /root/own/*']);

    test('beside one that runs', async () => {
      await refused(['agent'], 1, /already running on this machine/);
      await expectWorking();
    });

    test('on a port that is taken', async () => {
      await refused(['agent', '--state-dir', '/root/own'], 1, /cannot listen on .*4747.*another port/);
      await forget();
    });

    test('whose key others can read', async () => {
      await stateFile('identity.json', '{}');
      await host.exec(['chmod', '644', '/root/own/identity.json']);
      await refused(agent(), 1, /identity\.json can be read by other users: run "chmod 600/);
      await forget();
    });

    test.each([
      ['identity.json', 'not JSON'],
      ['identity.json', '{"version":1,"type":"ed25519","seed":"short"}'],
      ['membership.json', '{"version":1,'],
      ['membership.json', '{"version":99,"meshId":"x","records":[]}'],
      ['config.json', '{"configVersion":1,"lisenPort":4747}'],
      ['config.json', '{"configVersion":1,"listenPort":"many"}'],
      ['config.json', '{'],
    ])('whose %s is %s', async (name, content) => {
      await stateFile(name, content);
      // Wrong configuration is wrong usage: a service is not to be started again for it.
      await refused(agent(), name === 'config.json' ? 2 : 1, new RegExp(name.replace('.', '\\.')));
      expect(await host.readFile(`/root/own/${name}`), 'the file is left to its owner').toBe(content);
      await forget();
    });

    test('where there is no Nix', async () => {
      await host.exec(['sh', '-c', 'mkdir /usr/bin/away && mv /usr/bin/nix-instantiate /usr/bin/away']);
      try {
        await refused(agent(), 1, /Nix is not installed: install it/);
        await refused(build('-f', workloadFile('wide')), 1, /Nix is not installed: install it/);
      } finally {
        await host.exec(['sh', '-c', 'mv /usr/bin/away/* /usr/bin && rmdir /usr/bin/away']);
      }
      await forget();
    });

    test('where Nix is too old', async () => {
      for (const name of ['nix', 'nix-instantiate', 'nix-store'])
        await host.writeFile(`/root/old/${name}`, '#!/bin/sh\necho "nix (Nix) 2.3.16"\n', {
          executable: true,
        });
      const env = { PATH: '/root/old:/usr/local/bin:/usr/bin:/bin' };
      await refused(agent(), 1, /Nix 2\.3\.16 is too old: upgrade to 2\.8 or newer/, { env });
      await forget();
    });

    test('where no nix-daemon runs', async () => {
      await host.stopDaemon();
      await refused(agent(), 1, /No nix-daemon listens at .*: start it/);
      await host.exec(['rm', '/nix/var/nix/daemon-socket/socket']);
      await refused(agent(), 1, /There is no nix-daemon socket at .*: install Nix, or start/);
      await host.startDaemon();
      await forget();
      await expectWorking();
    });
  });
});
