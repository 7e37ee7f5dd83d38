import { type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addNixConf, builtOn, outputsOf, readStore } from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const KEY = '/etc/agentless/ai-idols';
const SYSTEMS = 'x86_64-linux,aarch64-linux,riscv64-linux';
const NAMES = ['aquamarine', 'ruby', 'kana'] as const;

interface Builder {
  name: string;
  state: string;
  trouble?: string;
}

/**
 * What NixOS writes for `nix.buildMachines`, `programs.ssh.extraConfig` and `programs.ssh.knownHosts` of three builders with aliases:
 * emulated systems, features, one key, `builders-use-substitutes`.
 */
async function likeNixos(home: Host, builders: readonly Host[]): Promise<void> {
  const key = await home.readFile('/root/.ssh/id_ed25519');
  const hostKey = (await home.readFile('/etc/ssh/ssh_known_hosts')).trim().split(' ').slice(1).join(' ');
  await home.exec(['rm', '/root/.ssh/id_ed25519']);
  await home.writeFile(KEY, key);
  await home.exec(['chmod', '600', KEY]);
  const each = (line: (name: string, builder: Host, index: number) => string): string =>
    NAMES.map((name, index) => line(name, builders[index]!, index)).join('');
  await home.writeFile(
    '/etc/ssh/ssh_config',
    `${each((name, { address }) => `Host ${name}\n  HostName ${address}\n  Port 22\n\n`)}Host *\n  GlobalKnownHostsFile /etc/ssh/ssh_known_hosts\n`,
  );
  await home.writeFile(
    '/etc/ssh/ssh_known_hosts',
    `${each((name, { address }) => `${name},${address} ${hostKey}\n`)}${builders[3]!.address} ${hostKey}\n`,
  );
  await home.writeFile(
    '/etc/nix/machines',
    each((name) => `ssh://root@${name} ${SYSTEMS} ${KEY} 2 1 benchmark,big-parallel,kvm - -\n`) +
      `ssh-ng://root@${builders[3]!.address} x86_64-linux ${KEY} 2 1 nixos-test lab -\nmem - - two\n`,
  );
  await addNixConf(home, 'builders = @/etc/nix/machines\nbuilders-use-substitutes = true\n');
}

describe.skipIf(requireLab())('builders of /etc/nix/machines with nothing of the mesh on them', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let builders: readonly Host[];

  beforeAll(async () => {
    // The versions of Nix on builders differ: an old one, a middle one, new ones.
    lab = await Lab.up({ hosts: 5, sshd: true, image: ['sid', 'bookworm', 'trixie', 'sid', 'sid'] });
    [home, ...builders] = lab.hosts as [Host, ...Host[]];
    await likeNixos(home, builders);
    const features = 'extra-system-features = kvm benchmark big-parallel nixos-test lab\n';
    const foreign = 'extra-platforms = aarch64-linux riscv64-linux\n';
    await Promise.all(builders.map((host) => addNixConf(host, features + foreign)));
    mesh = await LabMesh.up(lab, { hosts: [home] });
  });
  afterAll(async () => lab?.down());

  async function peers(): Promise<{ builders: Builder[]; builderTroubles: string[] }> {
    return JSON.parse((await mesh.run(home, ['peers', '--json'])).stdout);
  }

  const builderNamed = async (name: string): Promise<Builder> =>
    (await peers()).builders.find((builder) => builder.name === name)!;

  async function build(...args: string[]) {
    const { code, stderr, report } = await mesh.build(home, args);
    expect(code, stderr).toBe(0);
    return soundReport(report, Number.POSITIVE_INFINITY);
  }

  test('a configuration as NixOS writes it works as it stands', async () => {
    const { peers: workers } = await build(...workload('wide', '--arg', 'n', '12'));
    for (const name of NAMES) {
      const worker = workers.find((each) => each.name === name);
      expect(worker?.builds, `builds on ${name}`).toBeGreaterThan(0);
    }
  });

  test('a wrong line is named with its number, and the rest works', async () => {
    const { builderTroubles } = await peers();
    expect(builderTroubles).toEqual([expect.stringContaining('/etc/nix/machines:5')]);
    expect((await mesh.run(home, ['peers'])).stdout).toContain('/etc/nix/machines:5');
  });

  test.each(['aquamarine', 'ruby', 'kana'])(
    '%s builds for an emulated system, and all comes home',
    async (name) => {
      const work = workload('routed', '--argstr', 'system', 'riscv64-linux', '--argstr', 'features', 'kvm');
      const { derivations } = await build(...work, '--on', name);
      const { drvPath, peer } = derivations.find((each) => each.name === 'routed')!;
      expect(peer).toBe(name);
      const [, out] = outputsOf(home, drvPath);
      expect(readStore(home, out!)).toMatch(/^from an input \/nix\/store\//);
      await home.exec(['nix-store', '--verify-path', ...outputsOf(home, drvPath)]);
      expect(await builtOn(builders, out!)).toEqual([builders[NAMES.indexOf(name as 'ruby')]!.name]);
      const log = await home.exec(['nix-store', '--read-log', drvPath]);
      expect(log.stdout).toContain('a line of the log');
    },
  );

  test('a machine with mandatory features builds what requires them, and nothing else', async () => {
    const name = builders[3]!.address;
    const { derivations } = await build(...workload('routed', '--argstr', 'features', 'lab nixos-test'));
    expect(derivations.find((each) => each.name === 'routed')!.peer).toBe(name);
    const refused = await mesh.build(home, [...workload('routed'), '--on', name]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('only for what needs lab');
  });

  test('a build that fails there fails, with its log', async () => {
    const work = workload('routed', '--arg', 'fails', 'true');
    const { code, stderr } = await mesh.build(home, [...work, '--on', 'ruby']);
    expect(code).toBe(100);
    expect(stderr).toContain('a line of the log');
  });

  test('a machine that goes in the middle of a build costs no build', async () => {
    const work = workload('wide', '--arg', 'n', '10', '--argstr', 'seconds', '4');
    const building = mesh.build(home, work);
    await until('kana to build', 60_000, async () => {
      const { stdout } = await mesh.run(home, ['peers', '--json']);
      const kana = JSON.parse(stdout).builders.find(({ name }: Builder) => name === 'kana');
      return kana.running > 0 ? true : undefined;
    });
    await builders[2]!.kill({ quiet: false });
    const { code, stderr } = await building;
    expect(code, stderr).toBe(0);
    expect((await builderNamed('kana')).state).not.toBe('up');
  });

  test('a host key that changed is refused, loudly', async () => {
    const aquamarine = builders[0]!;
    await aquamarine.exec([
      'sh',
      '-c',
      'rm /etc/ssh/ssh_host_ed25519_key; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key; pkill -x sshd; /usr/sbin/sshd -o UseDNS=no',
    ]);
    await build(...workload('wide', '--arg', 'n', '4'));
    const { trouble } = await until('aquamarine to be refused', 60_000, async () => {
      const builder = await builderNamed('aquamarine');
      if (builder.trouble?.includes('HOST KEY') !== true)
        await build(...workload('wide', '--arg', 'n', '1', '--argstr', 'seconds', '0'));
      return builder.trouble?.includes('HOST KEY') === true ? builder : undefined;
    });
    expect(trouble).toContain('THE HOST KEY OF aquamarine HAS CHANGED');
    for (const command of ['peers', 'status', 'doctor']) {
      const { stdout } = await mesh.run(home, [command], { check: false });
      expect(stdout, command).toContain('THE HOST KEY OF aquamarine HAS CHANGED');
      expect(stdout, command).toContain('ssh-keygen -R');
    }
  });
});
