import { type ExecResult, type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readStore } from './host-store.ts';
import { workload, workloadFile } from './workload.ts';

const SOCKET = '/run/mesh/nix.sock';
const ENV = { NIX_REMOTE: `unix://${SOCKET}` };
/** An ordinary user, of whom nix-daemon knows nothing. */
const USER = { name: 'alice', id: '4711' };
/** As Nix calls it: a flake does not know by itself where it is evaluated. */
const SYSTEM = process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux';
/** Generous, for a crowded test machine. */
const WITHIN_MS = 120_000;

interface JobLine {
  state: string;
  submitter?: string;
  built: number;
}

describe.skipIf(requireLab(['sid']))("plain Nix at the agent's daemon socket", () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;

  beforeAll(async () => {
    lab = await Lab.up({
      hosts: 2,
      nixConf: 'extra-experimental-features = ca-derivations\nallowed-users = root alice\n',
    });
    home = lab.hosts[0]!;
    await home.exec([
      'sh',
      '-ec',
      `echo ${USER.name}:x:${USER.id}:${USER.id}::/tmp/${USER.name}:/bin/sh >> /etc/passwd
       echo mallory:x:4712:4712::/tmp/mallory:/bin/sh >> /etc/passwd
       for u in ${USER.id} 4712; do mkdir -p /tmp/home-$u; chown $u:$u /tmp/home-$u; done`,
    ]);
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  /** A command of Nix that talks to the mesh. */
  const nix = (command: readonly string[], env: Record<string, string> = ENV): Promise<ExecResult> =>
    home.exec(['env', ...Object.entries(env).map(([name, value]) => `${name}=${value}`), ...command], {
      check: false,
      timeoutMs: WITHIN_MS,
      cwd: '/root',
    });
  const as = (id: string, command: readonly string[], env?: Record<string, string>): Promise<ExecResult> =>
    nix(
      [
        'setpriv',
        `--reuid=${id}`,
        `--regid=${id}`,
        '--clear-groups',
        'env',
        `HOME=/tmp/home-${id}`,
        ...command,
      ],
      env,
    );
  const jobs = async (): Promise<JobLine[]> =>
    JSON.parse((await mesh.run(home, ['jobs', '--json'])).stdout).jobs;

  test('builds on all machines with `nix build`, and the result is here', async () => {
    const args = workload('wide', '--arg', 'n', '8');
    const { code, stdout, stderr } = await nix(['nix', 'build', ...args, '--no-link', '--print-out-paths']);
    expect(code, stderr).toBe(0);
    expect(readStore(home, stdout.trim())).toBe('0\n1\n2\n3\n4\n5\n6\n7\n');
    const [job] = await jobs();
    expect(job).toMatchObject({ state: 'built', submitter: 'root', built: 9 });
    const report = JSON.parse((await mesh.run(home, ['report', '--json'])).stdout);
    for (const { name, builds } of report.peers) expect(builds, name).toBeGreaterThan(0);
    // What is valid is no job.
    const before = (await jobs()).length;
    expect((await nix(['nix', 'build', ...args, '--no-link'])).code).toBe(0);
    expect(await jobs()).toHaveLength(before);
  });

  test('serves nix-build, nix-store and nix-instantiate', async () => {
    const [, file, ...args] = workload('multi');
    const { code, stdout, stderr } = await nix(['nix-build', file!, ...args, '--no-out-link']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^\/nix\/store\//);
    const [, wide, ...more] = workload('wide', '--arg', 'n', '2');
    const drv = (await nix(['nix-instantiate', wide!, ...more])).stdout.trim();
    const realised = await nix(['nix-store', '--realise', drv]);
    expect(realised.code, realised.stderr).toBe(0);
    expect(readStore(home, realised.stdout.trim())).toBe('0\n1\n');
    expect((await jobs())[0]).toMatchObject({ state: 'built', built: 3 });
  });

  test('shows log lines with their names, and keeps logs for `nix log`', async () => {
    const args = workload('noisy', '--arg', 'lines', '7');
    const built = await nix(['nix', 'build', '-L', ...args, '--no-link']);
    expect(built.code, built.stderr).toBe(0);
    expect(built.stderr.match(/^noisy[^>\n]*> /gm), built.stderr).toHaveLength(7);
    expect(built.stderr).not.toContain('@nix');
    const [, file, ...more] = args;
    const drv = (await nix(['nix-instantiate', file!, ...more])).stdout.trim();
    expect((await nix(['nix-store', '--read-log', drv])).stdout.trim().split('\n')).toHaveLength(7);
    expect((await nix(['nix', 'log', drv])).stdout.trim().split('\n')).toHaveLength(7);
  });

  test('tells activities as a daemon does: each begins, ends, and has the fields of its kind', async () => {
    await home.writeFile(
      '/root/phases.nix',
      `{ salt }: derivation {
        name = "phases"; inherit salt; system = builtins.currentSystem; builder = "/bin/sh";
        args = [ "-c" ''echo '@nix { "action": "setPhase", "phase": "fitPhase" }' >&2; echo said; echo > $out'' ];
      }`,
    );
    const build = async (env: Record<string, string>): Promise<Told> => {
      const salt = ['--argstr', 'salt', `${Math.random()}`];
      const command = ['nix', 'build', '-f', '/root/phases.nix', ...salt, '--no-link'];
      const { code, stderr } = await nix([...command, '--log-format', 'internal-json'], env);
      expect(code, stderr).toBe(0);
      return told(stderr);
    };
    const mine = await build(ENV);
    const real = await build({ NIX_REMOTE: 'daemon' });
    for (const { started, stopped } of [mine, real]) expect(stopped).toEqual(started);
    for (const { builds } of [mine, real]) {
      expect(builds).toHaveLength(1);
      expect(builds[0]).toMatchObject({
        level: 3,
        text: expect.stringMatching(/^building '.*-phases\.drv'/),
      });
      expect(builds[0]!.fields).toEqual([expect.stringMatching(/-phases\.drv$/), expect.any(String), 1, 1]);
    }
    expect(mine.results).toEqual(real.results);
  });

  test('fails as a daemon does: the same exit code, the log, what depends on it', async () => {
    for (const [attribute, command] of [
      ['failing', ['nix', 'build', '--no-link']],
      ['dependant', ['nix', 'build', '--no-link']],
      ['failing', ['nix-build', '--no-out-link']],
    ] as const) {
      const run = (env: Record<string, string>): Promise<ExecResult> => {
        const args = workload('fail');
        const which = command[0] === 'nix' ? [...args, attribute] : [...args.slice(1), '-A', attribute];
        return nix([...command, ...which], env);
      };
      const mine = await run(ENV);
      const real = await run({ NIX_REMOTE: 'daemon' });
      expect(mine.code, mine.stderr).toBe(real.code);
      expect(mine.stderr).toContain('this line comes before the failure');
      expect(mine.stderr).toMatch(/[Cc]annot build '.*-failing\.drv'/);
      expect(mine.stderr).toMatch(/builder failed with exit code 1/);
    }
    expect((await jobs())[0]).toMatchObject({ state: 'failed' });
  });

  test('goes on after a failure with --keep-going', async () => {
    const args = workload('fail', 'failing', 'independent');
    const { code, stderr } = await nix(['nix', 'build', '--keep-going', '--no-link', ...args]);
    expect(code, stderr).toBe(1);
    expect((await jobs())[0]).toMatchObject({ state: 'failed', built: 1 });
  });

  test('builds what evaluation needs, fixed outputs and content-addressed ones', async () => {
    await home.writeFile(
      '/root/import.nix',
      `{ salt }: let
        d = name: script: derivation { inherit name salt; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; };
        text = builtins.readFile (d "needed" "printf imported > $out");
      in d text "echo > $out"`,
    );
    const salt = `${Math.random()}`;
    const imported = await nix(['nix-build', '/root/import.nix', '--argstr', 'salt', salt, '--no-out-link']);
    expect(imported.code, imported.stderr).toBe(0);
    expect(imported.stdout.trim()).toMatch(/-imported$/);
    for (const [name, attribute] of [
      ['fixed', 'dependant'],
      ['content-addressed', 'dependant'],
    ] as const) {
      const { code, stderr, stdout } = await nix([
        'nix-build',
        workloadFile(name),
        '-A',
        attribute,
        '--argstr',
        'salt',
        salt,
        '--no-out-link',
      ]);
      expect(code, `${name}: ${stderr}`).toBe(0);
      expect(stdout, name).toContain('/nix/store/');
    }
  });

  test('serves flakes and nix-shell', async () => {
    const salt = `${Math.random()}`;
    const step = (name: string, attributes: string): string =>
      `derivation { name = "${name}"; salt = "${salt}"; system = "${SYSTEM}"; builder = "/bin/sh"; ${attributes} }`;
    await home.writeFile(
      '/root/flake/flake.nix',
      `{ outputs = _: { packages.${SYSTEM}.default = ${step('flaked', 'args = [ "-c" "echo flaked > $out" ];')}; }; }`,
    );
    const flake = await nix(['nix', 'build', 'path:/root/flake', '--no-link', '--print-out-paths']);
    expect(flake.code, flake.stderr).toBe(0);
    expect(readStore(home, flake.stdout.trim())).toBe('flaked\n');
    expect((await jobs())[0]).toMatchObject({ state: 'built', built: 1 });

    // A shell whose inputs have to be built first.
    const input = step('shell-input', 'args = [ "-c" "echo for the shell > $out" ];');
    await home.writeFile('/root/shell.nix', step('shell', `input = ${input};`));
    const { NIX_REMOTE } = ENV;
    const shell = await nix(['nix-shell', '/root/shell.nix', '--run', 'read line < $input; echo "$line"'], {
      NIX_REMOTE,
      NIX_BUILD_SHELL: '/bin/bash',
    });
    expect(shell.code, shell.stderr).toBe(0);
    expect(shell.stdout).toContain('for the shell');
    expect((await jobs())[0]).toMatchObject({ state: 'built', built: 1 });
  });

  test('leaves every user the rights it has at the real daemon', async () => {
    const trustOf = async (id: string, env: Record<string, string>): Promise<unknown> =>
      JSON.parse((await as(id, ['nix', 'store', 'info', '--json'], env)).stdout).trusted;
    expect(await trustOf('0', ENV)).toBe(await trustOf('0', { NIX_REMOTE: 'daemon' }));
    expect(await trustOf(USER.id, ENV)).toBe(await trustOf(USER.id, { NIX_REMOTE: 'daemon' }));
    expect(await trustOf(USER.id, ENV)).not.toBe(await trustOf('0', ENV));

    // Whom the daemon does not allow at all.
    for (const env of [ENV, { NIX_REMOTE: 'daemon' }]) {
      const refused = await as('4712', ['nix', 'store', 'info'], env);
      expect(refused.code, refused.stdout).not.toBe(0);
    }

    // A setting that only trusted users may give.
    const restricted = await as(USER.id, [
      'nix-store',
      '--option',
      'sandbox',
      'false',
      '--realise',
      '/nix/store/00000000000000000000000000000000-absent',
    ]);
    expect(restricted.stderr).toMatch(/ignoring the client-specified setting 'sandbox'/);

    const args = workload('wide', '--arg', 'n', '3');
    const built = await as(USER.id, ['nix', 'build', ...args, '--no-link', '--print-out-paths']);
    expect(built.code, built.stderr).toBe(0);
    expect((await jobs())[0]).toMatchObject({ state: 'built', submitter: USER.name });
  });

  test('takes another process for callers when that one has died', async () => {
    expect((await as(USER.id, ['nix', 'store', 'info'])).code).toBe(0);
    await home.exec(['sh', '-ec', "pgrep -f '[c]onnector-process' | xargs kill -KILL"]);
    await until('the next process', 20_000, async () =>
      (await as(USER.id, ['nix', 'store', 'info'])).code === 0 ? true : undefined,
    );
  });
});

interface Told {
  started: number[];
  stopped: number[];
  builds: { level: number; text: string; fields: unknown[] }[];
  /** Log lines and phases. */
  results: { type: number; fields: unknown[] }[];
}

/** What `--log-format internal-json` said. */
function told(stderr: string): Told {
  const said: Told = { started: [], stopped: [], builds: [], results: [] };
  for (const line of stderr.split('\n')) {
    if (!line.startsWith('@nix ')) continue;
    const message = JSON.parse(line.slice(5));
    if (message.action === 'start') said.started.push(message.id);
    if (message.action === 'start' && message.type === 105) said.builds.push(message);
    if (message.action === 'stop') said.stopped.push(message.id);
    if (message.action === 'result' && [101, 104].includes(message.type))
      said.results.push({ type: message.type, fields: message.fields });
  }
  said.started.sort((a, b) => a - b);
  said.stopped.sort((a, b) => a - b);
  return said;
}
