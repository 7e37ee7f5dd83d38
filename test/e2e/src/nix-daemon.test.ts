import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, IMAGES, Lab, nixVersionOf, repositoryRoot, requireLab } from '@mesh/lab';
import {
  type BuildResult,
  DaemonClient,
  type DaemonEvent,
  DEFAULT_SOCKET_PATH,
  fingerprintOf,
  type PathInfo,
  parseDerivation,
  parsePublicKey,
  printDerivation,
  readNar,
  resolveDerivation,
  signingKeyFromSeed,
  verifyNar,
  verifySignature,
} from '@mesh/nix';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** `$` before a brace belongs to Nix here. */
const EXPRESSIONS = `
{ salt ? "1" }:
let
  d = name: attrs: derivation ({ inherit name salt; system = builtins.currentSystem; builder = "/bin/sh"; } // attrs);
  input = d "input" { args = [ "-c" "echo hello; echo deep $salt > $out" ]; };
in {
  inherit input;
  multi = d "multi" {
    outputs = [ "out" "dev" ];
    inherit input;
    args = [ "-c" "echo one; echo two >&2; mkdir $out; read x < $input; echo $x $input > $out/file; ln -s file $out/link; echo > $dev" ];
  };
  fixed = d "fixed" {
    outputHashAlgo = "sha256"; outputHashMode = "flat"; outputHash = builtins.hashString "sha256" "fixed";
    args = [ "-c" "printf fixed > $out" ];
  };
  fail = d "fail" { args = [ "-c" "echo oh no; exit 3" ]; };
  slow = d "slow" { args = [ "-c" "echo begun; sleep 100000" ]; };
  chatty = d "chatty" { args = [ "-c" "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo > $out" ]; };
  big = d "big" { args = [ "-c" "mkdir $out; dd if=/dev/zero of=$out/zeros bs=1000000 count=30" ]; };
}
`;

const ABSENT = '/nix/store/00000000000000000000000000000000-absent';

describe.skipIf(requireLab()).each(IMAGES)('the nix-daemon of %s', (image) => {
  let lab: Lab;
  let host: Host;
  let client: DaemonClient;

  const connect = (): Promise<DaemonClient> =>
    DaemonClient.connect({
      socketPath: host.root + DEFAULT_SOCKET_PATH,
      options: { overrides: { builders: '' } },
    });

  const read = (drvPath: string) => parseDerivation(readFileSync(host.root + drvPath), drvPath);

  async function instantiate(attr: string, salt = '1'): Promise<string> {
    const command = ['nix-instantiate', '/root/test.nix', '-A', attr, '--argstr', 'salt', salt];
    return (await host.exec(command)).stdout.trim();
  }

  /** Builds as a worker does: inputs known, rooted, then one BuildDerivation. */
  async function build(attr: string, salt?: string): Promise<{ result: BuildResult; events: DaemonEvent[] }> {
    const drvPath = await instantiate(attr, salt);
    const drv = read(drvPath);
    const inputs = [...drv.inputDrvs].flatMap(([path, names]) =>
      names.map((name) => read(path).outputs.get(name)!.path),
    );
    await client.addTempRoots(inputs);
    expect((await client.queryValidPaths(inputs)).size).toBe(inputs.length);
    const call = client.buildDerivation(drvPath, resolveDerivation(drv, inputs));
    const events: DaemonEvent[] = [];
    for await (const event of call) events.push(event);
    return { result: await call, events };
  }

  async function infoOf(path: string | undefined): Promise<PathInfo> {
    const info = await client.queryPathInfo(path!);
    expect(info).toBeDefined();
    return info!;
  }

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 1, image });
    host = lab.host('h1');
    await host.writeFile('/root/test.nix', EXPRESSIONS);
    client = await connect();
  });

  afterAll(async () => {
    client?.close();
    await lab?.down();
  });

  test('tells who it is', () => {
    expect(client.nixVersion.startsWith(`${nixVersionOf(image)}.`)).toBe(true);
    expect(client.protocol).toEqual({ major: 1, minor: image === 'bookworm' ? 34 : 38 });
    expect(client.trust).toBe(image === 'bookworm' ? 'unknown' : 'trusted');
  });

  test('derivations print byte for byte as it wrote them', async () => {
    for (const attr of ['multi', 'fixed', 'fail', 'input']) {
      const bytes = readFileSync(host.root + (await instantiate(attr)));
      expect(Buffer.from(printDerivation(parseDerivation(bytes))).equals(bytes)).toBe(true);
    }
  });

  test('gives every valid path', async () => {
    const drvPath = await instantiate('multi', 'all-valid');
    const { stdout } = await host.exec(['sh', '-c', 'nix-store --dump-db | grep ^/nix/store/']);
    const paths = new Set<string>();
    let announced = 0;
    await client.queryAllValidPaths((count) => {
      announced = count;
      return (path) => paths.add(path);
    });
    expect(paths).toContain(drvPath);
    expect(paths.size).toBe(announced);
    for (const path of paths) expect(stdout).toContain(path);
  });

  test('says what is missing, then builds it', async () => {
    const drvPath = await instantiate('multi');
    const input = await instantiate('input');
    const missing = await client.queryMissing([`${drvPath}^*`]);
    expect(missing.willBuild.sort()).toEqual([drvPath, input].sort());

    const first = await build('input');
    expect(first.result.status).toBe('built');
    const { result, events } = await build('multi');
    expect(result.status).toBe('built');
    expect([...result.builtOutputs.keys()].sort()).toEqual(['dev', 'out']);
    const logged = events.filter((event) => event.type === 'log').map(({ line }) => line);
    expect(logged).toEqual(['one', 'two']);
    expect(events).toContainEqual(expect.objectContaining({ type: 'start', activity: 'build' }));

    expect((await client.queryMissing([`${drvPath}^*`])).willBuild).toEqual([]);
    expect((await build('multi')).result.status).toBe('already-valid');
  });

  test('knows paths, and serves them as verified archives', async () => {
    const { result } = await build('multi');
    const out = result.builtOutputs.get('out')!;
    const input = (await build('input')).result.builtOutputs.get('out')!;
    const info = await infoOf(out);
    expect(info).toMatchObject({ path: out, references: [input], ultimate: true, signatures: [] });
    expect([...(await client.queryPathInfos([out, ABSENT, input])).keys()]).toEqual([out, input]);
    expect(await client.isValidPath(ABSENT)).toBe(false);
    expect(await client.queryPathInfo(ABSENT)).toBeUndefined();

    const entries: string[] = [];
    for await (const event of readNar(verifyNar(client.narFromPath(out), info))) {
      if (event.type !== 'contents') entries.push(`${event.type} ${event.path}`);
    }
    expect(entries).toEqual(['directory ', 'regular file', 'symlink link']);
    await expect(client.narFromPath(ABSENT).next()).rejects.toMatchObject({ code: 'NIX_DAEMON_ERROR' });
    expect(await client.isValidPath(out)).toBe(true);
  });

  test('a failed build is a result with its reason', async () => {
    const { result, events } = await build('fail');
    expect(result.status).toBe('permanent-failure');
    expect(result.errorMsg).toContain('failed with exit code 3');
    expect(events).toContainEqual(expect.objectContaining({ type: 'log', line: 'oh no' }));
    expect((await build('fixed')).result.status).toBe('built');
  });

  test('realises what it has the derivations of', async () => {
    const wanted = [`${await instantiate('fail')}^*`, `${await instantiate('multi', '2')}^out`];
    await client.setOptions({ keepGoing: true });
    const results = await client.buildPathsWithResults(wanted);
    await client.setOptions({});
    expect(results.map(({ wanted, status }) => [wanted, status]).sort()).toEqual(
      [
        [wanted[0]!.replace('^', '!'), 'permanent-failure'],
        [wanted[1]!.replace('^', '!'), 'built'],
      ].sort(),
    );
    const built = results.find(({ status }) => status === 'built')!;
    expect(built.builtOutputs.get('out')).toMatch(/-multi$/);
  });

  test('closing the connection kills the build', async () => {
    const drvPath = await instantiate('slow');
    const worker = await connect();
    const call = worker.buildDerivation(drvPath, resolveDerivation(read(drvPath), []));
    const killed = async (): Promise<void> => {
      for await (const event of call) if (event.type === 'log' && event.line === 'begun') worker.close();
    };
    await expect(killed()).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
    await worker.ended;
    await expect.poll(() => host.buildProcesses(), { timeout: 20_000 }).toEqual([]);
  });

  test('a log of many lines arrives whole, also at a slow reader', async () => {
    const { events } = await build('chatty');
    const lines = events.filter((event) => event.type === 'log').map(({ line }) => line);
    expect(lines).toEqual(Array.from({ length: 20_000 }, (_, i) => `line ${i}`));
  });

  test('takes archives, alone and many in one stream', async () => {
    const { result } = await build('big');
    const info = await infoOf(result.builtOutputs.get('out'));
    const copies = [1, 2, 3].map((number) => ({ ...info, path: ABSENT.replace('absent', `copy-${number}`) }));
    const [one, two, three] = copies as [PathInfo, PathInfo, PathInfo];
    const source = await connect();
    const nar = () => verifyNar(source.narFromPath(info.path), info);
    await client.addToStoreNar(one, nar(), { dontCheckSigs: true });
    const items = [
      { info: two, nar: nar() },
      { info: { ...three, references: [two.path] }, nar: nar() },
    ];
    await client.addMultipleToStore(items, 2, { dontCheckSigs: true });
    source.close();
    expect((await client.queryValidPaths(copies.map(({ path }) => path))).size).toBe(3);
    expect((await infoOf(three.path)).references).toEqual([two.path]);
  });

  test('refuses an archive with another hash and one nobody signed', async () => {
    const info = await infoOf((await build('input')).result.builtOutputs.get('out'));
    const nar: Buffer[] = [];
    for await (const chunk of client.narFromPath(info.path)) nar.push(Buffer.from(chunk));
    const path = ABSENT.replace('absent', 'refused');
    const wrong = { ...info, path, narHash: Buffer.alloc(32) };
    const one = await connect();
    await expect(one.addToStoreNar(wrong, nar, { dontCheckSigs: true })).rejects.toMatchObject({
      code: 'NIX_DAEMON_ERROR',
      nixMessage: expect.stringContaining('hash mismatch'),
    });
    const other = await connect();
    await expect(other.addToStoreNar({ ...info, path }, nar)).rejects.toMatchObject({
      nixMessage: expect.stringContaining('signature'),
    });
    expect(await client.isValidPath(path)).toBe(false);
  });

  test('keeps signatures, and its own are ours', async () => {
    const info = await infoOf((await build('input')).result.builtOutputs.get('out'));
    const key = signingKeyFromSeed('mesh-1', Buffer.alloc(32, 7));
    await client.addSignatures(info.path, [key.sign(fingerprintOf(info))]);
    expect((await infoOf(info.path)).signatures).toEqual([key.sign(fingerprintOf(info))]);

    await host.exec(['sh', '-c', 'nix key generate-secret --key-name host-1 > /root/key']);
    await host.exec(['nix', 'store', 'sign', '-k', '/root/key', info.path]);
    const text = (await host.exec(['sh', '-c', 'nix key convert-secret-to-public < /root/key'])).stdout;
    const theirs = (await infoOf(info.path)).signatures.find((signature) => signature.startsWith('host-1:'));
    expect(verifySignature(fingerprintOf(info), theirs!, parsePublicKey(text).key)).toBe(true);
  });

  test('stores logs and roots', async () => {
    const drvPath = await instantiate('slow', '3');
    await client.addBuildLog(drvPath, Buffer.from('built elsewhere\n'));
    expect((await host.exec(['nix-store', '--read-log', drvPath])).stdout).toBe('built elsewhere\n');

    const out = (await build('fixed')).result.builtOutputs.get('out')!;
    await host.exec(['ln', '-sfn', out, '/root/result']);
    await client.addIndirectRoot('/root/result');
    expect((await host.exec(['nix-store', '--gc', '--print-roots'])).stdout).toMatch(/\/root\/result"? -> /);
  });

  test('temporary roots keep paths from garbage collection while connected', async () => {
    const { result } = await build('input', '4');
    const out = result.builtOutputs.get('out')!;
    const holder = await connect();
    await holder.addTempRoot(out);
    client.close();
    client = await connect();
    await host.exec(['nix-store', '--gc']);
    expect(await client.isValidPath(out)).toBe(true);
    holder.close();
    await host.exec(['sh', '-c', 'sleep 0.2; nix-store --gc']);
    expect(await client.isValidPath(out)).toBe(false);
  });

  test('evaluation, configuration and copying by its commands', async () => {
    // As nixpkgs marks an output that was chosen.
    const flake = `{ outputs = { self }: let drv = derivation {
      name = "flaky"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "dev" ]; args = [ ];
    }; in { packages.x86_64-linux.default = drv // { dev = drv.dev // { outputSpecified = true; }; }; }; }`;
    await host.writeFile('/root/flake/flake.nix', flake);
    const script = `
      import * as nix from ${JSON.stringify(join(repositoryRoot, 'packages/nix/src/index.ts'))};
      const all = async (items) => { const list = []; for await (const item of items) list.push(item); return list; };
      const failure = async (promise) => promise.then(() => 'none', ({ code, nixMessage }) => ({ code, nixMessage }));
      const file = '/root/test.nix';
      console.log(JSON.stringify({
        info: await nix.systemInfo(),
        wanted: await all(nix.nixInstantiate({ file, attrs: ['multi.dev', 'input'], argstrs: { salt: '1' } })),
        flake: await all(nix.flakeDerivations(['/root/flake', '/root/flake#default.dev', '/root/flake^*'])),
        badAttr: await failure(all(nix.nixInstantiate({ file, attrs: ['nope'] }))),
        badFlake: await failure(all(nix.flakeDerivations(['/root/flake#nope']))),
        badCopy: await failure(nix.nixCopy({ from: 'file:///nonexistent', paths: [${JSON.stringify(ABSENT)}] })),
        copied: await nix.nixCopy({ to: 'file:///tmp/cache?compression=none', paths: [process.argv[1]] }) ?? 'yes',
      }));`;
    const node = join(repositoryRoot, 'node_modules/.bin/node');
    const path = (await build('input')).result.builtOutputs.get('out')!;
    const { stdout } = await host.exec([node, '--input-type=module', '-e', script, path]);
    const told = JSON.parse(stdout);
    expect(told.info).toMatchObject({
      version: expect.stringContaining(nixVersionOf(image)),
      system: 'x86_64-linux',
      maxJobs: 2,
      cores: 1,
      sandbox: true,
      trustedUsers: ['root'],
    });
    expect(told.info.systemFeatures).toContain('big-parallel');
    expect(told.wanted).toEqual([
      { drvPath: await instantiate('multi'), outputs: ['dev'] },
      { drvPath: await instantiate('input'), outputs: ['out'] },
    ]);
    expect(told.flake.map(({ outputs }: { outputs: string[] }) => outputs)).toEqual([['out'], ['dev'], []]);
    expect(told.flake[0].drvPath).toMatch(/-flaky\.drv$/);
    expect(told.badAttr).toMatchObject({
      code: 'NIX_EVALUATION_FAILED',
      nixMessage: expect.stringContaining("'nope'"),
    });
    expect(told.badFlake).toMatchObject({ code: 'NIX_EVALUATION_FAILED' });
    expect(told.badCopy).toMatchObject({ code: 'NIX_COMMAND_FAILED' });
    expect(told.copied).toBe('yes');
  });

  test('a daemon that stops is noticed by what runs, and by who comes after', async () => {
    const drvPath = await instantiate('slow', '5');
    const worker = await connect();
    const call = worker.buildDerivation(drvPath, resolveDerivation(read(drvPath), []));
    const lost = async (): Promise<void> => {
      for await (const event of call) if (event.type === 'log') await host.stopDaemon();
    };
    await expect(lost()).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
    await expect(connect()).rejects.toMatchObject({ code: 'NIX_DAEMON_UNREACHABLE' });
  });
});
