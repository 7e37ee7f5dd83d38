import { type ExecResult, type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtOn, offerFeatures, readStore } from './host-store.ts';
import { untilNoBuilds } from './running-builds.ts';
import { workload } from './workload.ts';

const PORT = 4750;

/** h1 has the door, h2 is a member with a feature, h3 has no agent: plain Nix and ssh. */
describe.skipIf(requireLab(['sid', 'bookworm']))('the SSH front door', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let door: Host;
  let member: Host;
  let client: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3, image: ['sid', 'sid', 'bookworm'] });
    [door, member, client] = lab.hosts as [Host, Host, Host];
    await offerFeatures(member, 'foo');
    await client.exec(['mkdir', '-p', '/root/.ssh']);
    const keys: Record<string, string> = {};
    for (const name of ['builder', 'reader', 'stranger']) {
      await client.exec([
        'ssh-keygen',
        '-q',
        '-t',
        'ed25519',
        '-N',
        '',
        '-C',
        name,
        '-f',
        `/root/.ssh/${name}`,
      ]);
      keys[name] = (await client.readFile(`/root/.ssh/${name}.pub`)).trim();
    }
    const authorizedKeys = [
      { name: 'laptop', key: keys.builder, rights: 'build' },
      { name: 'mirror', key: keys.reader, rights: 'store' },
    ];
    await door.writeFile(
      '/var/lib/mesh/config.json',
      JSON.stringify({ configVersion: 1, frontDoor: { enabled: true, port: PORT, authorizedKeys } }),
    );
    mesh = await LabMesh.up(lab, { join: false });
    // The client is a machine without an agent.
    await mesh.agents.get(client.name)!.kill();
    await mesh.join(member, door);
    await mesh.untilConnected([door, member]);
    const { knownHosts } = JSON.parse((await mesh.run(door, ['front-door', '--json'])).stdout);
    await client.writeFile('/etc/ssh/ssh_known_hosts', `${knownHosts}\n`);
    await client.writeFile(
      '/root/.ssh/config',
      sshConfig('builder') + sshConfig('reader') + sshConfig('stranger'),
    );
  });
  afterAll(async () => lab?.down());

  /** Aliases: Nix before 2.31 takes no port in a builder's address. */
  const sshConfig = (name: string): string => `Host ${name}
  HostName ${door.name}
  HostKeyAlias [${door.name}]:${PORT}
  Port ${PORT}
  User mesh
  IdentityFile /root/.ssh/${name}
  IdentitiesOnly yes
  BatchMode yes
`;
  const nixBuild = (args: readonly string[], features = '-'): Promise<ExecResult> =>
    client.exec(
      [
        'nix-build',
        '--no-out-link',
        ...args.slice(1),
        '--builders',
        `ssh-ng://builder - - 8 1 ${features}`,
        '-j0',
      ],
      { check: false, timeoutMs: 120_000 },
    );
  const ssh = (...args: string[]): Promise<ExecResult> =>
    client.exec(['ssh', '-T', ...args], { check: false, timeoutMs: 60_000 });

  test('is a builder of plain Nix: the mesh builds, and the result is with the client', async () => {
    const args = workload('features', '--argstr', 'feature', 'foo');
    const { code, stdout, stderr } = await nixBuild([...args, '-A', 'dependant'], 'foo');
    expect(code, stderr).toBe(0);
    expect(readStore(client, stdout.trim())).toBe('built where foo is\n');
    const special = (await nixBuild([...args, '-A', 'special'], 'foo')).stdout.trim();
    expect(await builtOn([door, member], special)).toEqual([member.name]);
    const { jobs } = JSON.parse((await mesh.run(door, ['jobs', '--json'])).stdout);
    expect(jobs.map(({ submitter }: { submitter?: string }) => submitter)).toContain('laptop');
  });

  test('several outputs, a fixed output, and the log of each build', async () => {
    const multi = await nixBuild([...workload('multi'), '-A', 'dependant']);
    expect(multi.code, multi.stderr).toBe(0);
    expect(readStore(client, multi.stdout.trim())).toBe('library\ndocumentation\n');
    const fixed = await nixBuild([...workload('fixed'), '-A', 'dependant']);
    expect(fixed.code, fixed.stderr).toBe(0);
    const noisy = workload('noisy', '--arg', 'lines', '20');
    const { code, stderr } = await nixBuild(noisy);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('line 20 of a build that talks a lot');
    expect(stderr).not.toContain('@nix');
    const drvPath = (await client.exec(['nix-instantiate', ...noisy.slice(1)])).stdout.trim();
    const { stdout: log } = await client.exec(['nix-store', '--read-log', drvPath]);
    expect(log).toContain('line 20 of a build that talks a lot\n');
  });

  test('a failed build fails, with its log', async () => {
    const { code, stderr } = await nixBuild([...workload('fail'), '-A', 'failing']);
    expect(code).not.toBe(0);
    expect(stderr).toContain('this line comes before the failure');
  });

  test('is a store to read from for a key with those rights, which may write nothing', async () => {
    const { stdout: path } = await nixBuild(workload('wide', '--arg', 'n', '1', '--argstr', 'seconds', '0'));
    const from = ['nix', 'path-info', '--store', 'ssh-ng://reader', path.trim()];
    expect((await client.exec(from)).stdout.trim()).toBe(path.trim());
    await client.exec(['sh', '-c', 'echo new >/root/new']);
    const local = (await client.exec(['nix-store', '--add', '/root/new'])).stdout.trim();
    const to = await client.exec(['nix', 'copy', '--to', 'ssh-ng://reader', local], { check: false });
    expect(to.code).not.toBe(0);
    expect(to.stderr).toContain('Your key may only read from this store');
  });

  test('is a store to build in, whose builds go to the mesh', async () => {
    const args = [...workload('features', '--argstr', 'feature', 'foo'), '-A', 'dependant'];
    const drvPath = (await client.exec(['nix-instantiate', ...args.slice(1)])).stdout.trim();
    await client.exec(['nix', 'copy', '--derivation', '--to', 'ssh-ng://builder', drvPath]);
    const realise = ['nix-store', '--store', 'ssh-ng://builder', '--realise', drvPath];
    const { code, stdout, stderr } = await client.exec(realise, { check: false, timeoutMs: 60_000 });
    expect(code, stderr).toBe(0);
    expect(readStore(door, stdout.trim())).toBe('built where foo is\n');
  });

  test('lets no unknown key in, and nobody to a shell, another command or another port', async () => {
    expect((await ssh('stranger', 'nix-daemon', '--stdio')).stderr).toContain(
      'Permission denied (publickey)',
    );
    const shell = await ssh('builder');
    expect(shell.code).toBe(127);
    expect(shell.stderr).toContain('there is no shell');
    const other = await ssh('builder', 'nix-daemon --stdio; id');
    expect(other.code).toBe(127);
    expect(other.stderr).toContain('nothing else');
    expect((await ssh('builder', 'nix-store --serve --write')).stderr).toContain(
      'write ssh-ng:// in place of ssh://',
    );
    const forward = await ssh('-W', '127.0.0.1:22', 'builder');
    expect(forward.code).not.toBe(0);
  });

  test('half a message hurts nobody, and a client that goes leaves no build behind', async () => {
    await client.exec(['sh', '-c', "printf 'cxin\\0\\0' | ssh -T builder nix-daemon --stdio"], {
      check: false,
    });
    const endless = workload('endless', '--arg', 'n', '1');
    const nix = client.spawn([
      'nix-build',
      '--no-out-link',
      ...endless.slice(1),
      '--builders',
      'ssh-ng://builder - - 8 1',
      '-j0',
    ]);
    await until('the build to run', 60_000, () =>
      [door, member].some((host) => host.buildProcesses().length > 0) ? true : undefined,
    );
    await nix.kill('SIGINT');
    await untilNoBuilds([door, member], 30_000);
  });

  test('200 clients at once are greeted, and one more builds meanwhile', async () => {
    // Two connections, with a hundred sessions each; every one says hello and stays.
    const script = `
      for c in 1 2; do ssh -fNM -S /tmp/shared-$c builder; done
      for i in $(seq 200); do
        { printf 'cxin\\0\\0\\0\\0'; sleep 90; } |
          ssh -T -S /tmp/shared-$((i % 2 + 1)) builder nix-daemon --stdio | head -c 4 >/tmp/heard-$i &
      done
      wait`;
    const crowd = client.spawn(['sh', '-c', script]);
    await until('all to be greeted', 60_000, async () => {
      const { stdout } = await client.exec(['sh', '-c', 'grep -l oixd /tmp/heard-* | wc -l'], {
        check: false,
      });
      return stdout.trim() === '200' ? true : undefined;
    });
    const { code } = await nixBuild(workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0'));
    expect(code).toBe(0);
    await client.exec(['sh', '-c', 'for c in 1 2; do ssh -S /tmp/shared-$c -O exit builder; done']);
    await crowd.kill();
  });

  test('a client that falls silent is noticed, and leaves no build behind', async () => {
    const endless = workload('endless', '--arg', 'n', '1');
    const options = ['--no-out-link', '--builders', 'ssh-ng://builder - - 8 1', '-j0'];
    const nix = client.spawn(['nix-build', ...endless.slice(1), ...options]);
    await until('the build to run', 60_000, () =>
      [door, member].some((host) => host.buildProcesses().length > 0) ? true : undefined,
    );
    await client.freeze();
    try {
      await untilNoBuilds([door, member], 60_000);
    } finally {
      client.thaw();
    }
    await nix.kill();
  });
});
