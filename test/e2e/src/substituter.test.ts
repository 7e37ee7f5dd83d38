import { createHash } from 'node:crypto';
import { type Host, IMAGES, type Image, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { DaemonClient, DEFAULT_SOCKET_PATH } from '@mesh/nix';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addNixConf, closureOn, outputsOf, signersOn, validOn } from './host-store.ts';
import { workload } from './workload.ts';

const URL = 'http://127.0.0.1:4749';

/*
 * A machine of each version of Nix, and two more: h4, a full member that others' paths come from, and h5, which may only submit. What is
 * built is built by plain Nix, behind the mesh's back.
 */
describe.skipIf(requireLab())('the binary cache of a machine', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let giver: Host;
  let submitter: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 5, image: [...IMAGES, 'sid', 'sid'] });
    mesh = await LabMesh.up(lab, { join: false });
    const [first, ...others] = lab.hosts as [Host, ...Host[]];
    [giver, submitter] = others.slice(-2) as [Host, Host];
    for (const host of others) {
      const roles = host === submitter ? ['--roles', 'submit'] : [];
      const { stdout: ticket } = await mesh.run(first, ['invite', ...roles]);
      await mesh.run(host, ['join'], { input: ticket });
    }
    await mesh.untilConnected();
  });
  afterAll(async () => lab?.down());

  const hostOf = (image: Image): Host => lab.hosts.find((host) => host.image === image)!;
  const trusting = new Set<Host>();
  const trust = async (host: Host) => {
    if (trusting.has(host)) return;
    trusting.add(host);
    const { stdout } = await mesh.run(host, ['cache', 'trust']);
    await addNixConf(host, stdout);
  };
  /** Plain Nix brings a path in, or not. */
  const realise = (host: Host, paths: readonly string[], ...options: string[]) =>
    host.exec(['nix-store', '--realise', ...paths, ...options], { check: false });
  const build = async (host: Host, args: readonly string[]) =>
    (await host.exec(['nix-build', '--no-out-link', ...args.slice(1)])).stdout.trim();
  /** The path that a build will make, before it is built anywhere. */
  const pathOf = async (host: Host, args: readonly string[]) => {
    const { stdout } = await host.exec(['nix-instantiate', ...args.slice(1)]);
    return outputsOf(host, stdout.trim().replace(/!.*$/, ''))[0]!;
  };
  /** What a member built behind the mesh's back is visible within a second. */
  const untilFound = (host: Host, ...paths: string[]) =>
    until('the paths to be known', 5_000, async () => {
      for (const path of paths) {
        const { code } = await mesh.run(host, ['cache', 'which', path], { check: false });
        if (code !== 0) return undefined;
      }
      return true;
    });
  const small = () => workload('closure', '-A', 'top');

  describe.each(IMAGES)('for the Nix of %s', (image) => {
    test('without trust, only what upstream signed is taken, its signature unchanged', async () => {
      const host = hostOf(image);
      const unsigned = await build(giver, small());
      const path = await build(giver, small());
      await giver.exec([
        'sh',
        '-c',
        `[ -e /root/upstream ] || nix-store --generate-binary-cache-key upstream-1 /root/upstream /root/upstream.pub
         nix store sign -r -k /root/upstream ${path}`,
      ]);
      const key = (await giver.readFile('/root/upstream.pub')).trim();
      await untilFound(host, unsigned, path);
      const untrusted = await realise(host, [unsigned], '--option', 'substituters', URL);
      expect(untrusted.code).not.toBe(0);
      expect(await validOn(host, [unsigned])).toEqual([]);

      const signed = await realise(
        host,
        [path],
        '--option',
        'substituters',
        URL,
        '--option',
        'trusted-public-keys',
        key,
      );
      expect(signed.code, signed.stderr).toBe(0);
      expect(await signersOn(host, path)).toContain('upstream-1');
      const signature = (target: Host) =>
        target
          .exec(['nix', 'path-info', '--sigs', path])
          .then(({ stdout }) => /upstream-1:\S+/.exec(stdout)?.[0]);
      expect(await signature(host)).toBe(await signature(giver));
    });

    test('what was absent is found seconds after a member built it, and nothing but the printed lines was set', async () => {
      const host = hostOf(image);
      await trust(host);
      const args = small();
      const path = await pathOf(giver, args);
      for (const remote of ['', 'daemon']) {
        const early = await host.exec(['nix-store', '--realise', path], {
          check: false,
          env: { NIX_REMOTE: remote },
        });
        expect(early.code).not.toBe(0);
      }
      expect(await build(giver, args)).toBe(path);
      await untilFound(host, path);
      const late = await realise(host, [path]);
      expect(late.code, late.stderr).toBe(0);
      expect(await closureOn(host, path)).toHaveLength(6);
      await host.exec(['nix-store', '--verify-path', ...(await closureOn(host, path))]);
      const { stdout } = await mesh.run(host, ['status', '--json']);
      expect(await signersOn(host, path)).toContain(`mesh-${JSON.parse(stdout).peerId}`);
    });

    test('nix copy takes from it', async () => {
      const host = hostOf(image);
      await trust(host);
      const path = await build(giver, small());
      await untilFound(host, path);
      await host.exec(['nix', 'copy', '--from', URL, path]);
      expect(await validOn(host, [path])).toEqual([path]);
    });

    test('what it believes to be there and is not is asked for again', async () => {
      const host = hostOf(image);
      await trust(host);
      const args = small();
      const path = await build(giver, args);
      await untilFound(host, path);
      // Nix writes down that the whole closure is there.
      const { stderr } = await realise(host, [path], '--dry-run');
      expect(stderr).toContain(path);
      // An agent keeps what it was asked about for a while.
      const closure = await closureOn(giver, path);
      const agent = mesh.agents.get(giver.name)!;
      await agent.kill('SIGTERM');
      await agent.exited;
      await giver.exec(['nix-store', '--delete', ...closure.toReversed()]);
      await mesh.startAgent(giver);
      await mesh.untilConnected();
      expect((await realise(host, [path])).code).not.toBe(0);
      await build(giver, args);
      await untilFound(host, path);
      const { code, stderr: said } = await realise(host, [path]);
      expect(code, said).toBe(0);
    });

    test('contents that are not those of a content address are not taken', async () => {
      const host = hostOf(image);
      const expression = 'builtins.toFile "honest" "the contents"';
      const { stdout } = await giver.exec([
        'nix-instantiate',
        '--eval',
        '--read-write-mode',
        '-E',
        expression,
      ]);
      const path = JSON.parse(stdout) as string;
      const [from, to] = await Promise.all(
        [giver, host].map((each) => DaemonClient.connect({ socketPath: each.root + DEFAULT_SOCKET_PATH })),
      );
      const info = (await from!.queryPathInfo(path))!;
      const chunks: Uint8Array[] = [];
      for await (const chunk of from!.narFromPath(path)) chunks.push(Buffer.from(chunk));
      const lie = Buffer.from(
        Buffer.concat(chunks).toString('latin1').replace('the contents', 'not contents'),
        'latin1',
      );
      const told = { ...info, narHash: createHash('sha256').update(lie).digest() };
      await expect(
        to!.addMultipleToStore([{ info: told, nar: lie }], 1, { dontCheckSigs: true }),
      ).rejects.toThrow();
      expect(await validOn(host, [path])).toEqual([]);
      from!.close();
      // The daemon may have ended it.
      to!.close();
    });
  });

  test('a thousand paths are found at once', async () => {
    const host = hostOf('sid');
    await trust(host);
    const expression =
      'builtins.genList (n: builtins.toFile ("text-" + toString n) ("text " + toString n)) 1000';
    const { stdout } = await giver.exec([
      'nix-instantiate',
      '--eval',
      '--strict',
      '--json',
      '--read-write-mode',
      '-E',
      expression,
    ]);
    const paths = JSON.parse(stdout) as string[];
    await untilFound(host, paths.at(-1)!);
    const { code, stderr } = await realise(host, paths);
    expect(code, stderr.slice(-2_000)).toBe(0);
    expect(await validOn(host, paths)).toHaveLength(1_000);
  });

  test('a holder that is unplugged while it sends is replaced by another', async () => {
    const host = hostOf('sid');
    await trust(host);
    const other = hostOf('trixie');
    const args = workload('big', '-A', 'big', '--arg', 'mb', '200');
    const path = await build(other, args);
    await trust(other);
    await untilFound(giver, path);
    await mesh.run(giver, ['cache', 'warm', path]);
    expect(await validOn(giver, [path])).toEqual([path]);
    await Promise.all([giver, other].map((each) => each.net('rate 200mbit')));
    const realising = realise(host, [path]);
    await until('the transfer', 20_000, async () => {
      const { stdout } = await mesh.run(host, ['cache', 'status', '--json']);
      return JSON.parse(stdout).given.nars > 0 ? true : undefined;
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const served = async (each: Host) =>
      JSON.parse((await mesh.run(each, ['cache', 'status', '--json'])).stdout).served.bytes as number;
    const [byGiver, byOther] = await Promise.all([giver, other].map(served));
    const busy = byGiver! > byOther! ? giver : other;
    await busy.link('down');
    const { code, stderr } = await realising;
    expect(code, stderr).toBe(0);
    expect(await validOn(host, [path])).toEqual([path]);
    await busy.link('up');
    await Promise.all([giver, other].map((each) => each.net(undefined)));
    await mesh.untilConnected();
  });

  test('a member that may not build hands on what is what it says, and not what it built', async () => {
    const host = hostOf('sid');
    await trust(host);
    const built = await build(submitter, small());
    const { stdout } = await submitter.exec([
      'nix-instantiate',
      '--eval',
      '--read-write-mode',
      '-E',
      'builtins.toFile "source" "of a member that only submits"',
    ]);
    const source = JSON.parse(stdout) as string;
    await untilFound(host, source, built);
    expect((await realise(host, [source])).code).toBe(0);
    expect((await realise(host, [built])).code).not.toBe(0);
    expect(await validOn(host, [source, built])).toEqual([source]);
    // Nor does the mesh itself take it.
    const warm = await mesh.run(host, ['cache', 'warm', built], { check: false });
    expect(warm.code).toBe(1);
    expect(await validOn(host, [built])).toEqual([]);
  });

  describe('mesh cache', () => {
    test('which says who holds a path', async () => {
      const host = hostOf('sid');
      const path = await build(giver, small());
      await untilFound(host, path);
      const { stdout } = await mesh.run(host, ['cache', 'which', path, '--json']);
      expect(JSON.parse(stdout)).toMatchObject({ path, here: false, members: [{ name: giver.name }] });
      await giver.exec(['ln', '-sfn', path, '/root/link']);
      expect((await mesh.run(giver, ['cache', 'which', '/root/link'])).stdout).toMatch(/this machine/);
      const absent = path.replace(/store\/.{8}/, 'store/00000000');
      const nobody = await mesh.run(host, ['cache', 'which', absent], { check: false });
      expect(nobody.code).toBe(1);
    });

    test('warm brings what installables would build, builds nothing, and says what nobody has', async () => {
      const host = hostOf('sid');
      const args = small();
      const cold = await mesh.run(host, ['cache', 'warm', ...args], { check: false });
      expect(cold.code).toBe(1);
      expect(cold.stderr).toMatch(/nobody has \/nix\/store\//);
      const path = await build(giver, args);
      await untilFound(host, path);
      const { stdout } = await mesh.run(host, ['cache', 'warm', ...args, '--json']);
      expect(JSON.parse(stdout)).toMatchObject({ alreadyHere: 0, fetchedPaths: 6, missing: [] });
      expect(await validOn(host, [path])).toEqual([path]);
      const again = await mesh.run(host, ['cache', 'warm', path, '--json']);
      expect(JSON.parse(again.stdout)).toMatchObject({ alreadyHere: 1, fetchedPaths: 0, missing: [] });
    });

    test('status says what was asked for and given', async () => {
      const { stdout } = await mesh.run(hostOf('sid'), ['cache', 'status', '--json']);
      const status = JSON.parse(stdout);
      expect(status.url).toBe(URL);
      expect(status.narinfos.found).toBeGreaterThan(1_000);
      expect(status.narinfos.absent).toBeGreaterThan(0);
      expect(status.given.bytes).toBeGreaterThan(200 * 1024 * 1024);
    });
  });
});
