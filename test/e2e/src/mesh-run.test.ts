import { type ExecResult, type Host, type HostProcess, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workload } from './workload.ts';

const SOCKET = '/run/mesh/nix.sock';
/** An ordinary user, whom nix-daemon does not trust. */
const ALICE = '4711';
const RUNTIME_DIR = `/run/user/${ALICE}`;
/** Generous, for a crowded test machine. */
const WITHIN_MS = 120_000;

describe.skipIf(requireLab(['sid']))('`mesh run -- COMMAND`', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  /** Has no agent. */
  let bare: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    const [first, second, third] = lab.hosts as [Host, Host, Host];
    home = first;
    bare = third;
    await home.exec([
      'sh',
      '-ec',
      `echo alice:x:${ALICE}:${ALICE}::/home/alice:/bin/sh >> /etc/passwd
       mkdir -p /home/alice ${RUNTIME_DIR} && chown ${ALICE}:${ALICE} /home/alice ${RUNTIME_DIR}
       chmod 700 ${RUNTIME_DIR}`,
    ]);
    mesh = await LabMesh.up(lab, { hosts: [first, second] });
  });
  afterAll(async () => lab?.down());

  const run = (
    host: Host,
    command: readonly string[],
    env: Record<string, string> = {},
  ): Promise<ExecResult> =>
    host.exec(['mesh', 'run', '--', ...command], { check: false, env, timeoutMs: WITHIN_MS });
  const asAlice = (command: readonly string[]): string[] => [
    ...['setpriv', `--reuid=${ALICE}`, `--regid=${ALICE}`, '--clear-groups'],
    ...['env', 'HOME=/home/alice', 'USER=alice', `XDG_RUNTIME_DIR=${RUNTIME_DIR}`],
    ...command,
  ];
  const nixBuild = (): string[] => ['nix', 'build', ...workload('wide', '--arg', 'n', '3'), '--no-link'];
  const lastJob = async (): Promise<unknown> =>
    JSON.parse((await mesh.run(home, ['jobs', '--json'])).stdout).jobs[0];

  test('gives the command the socket of the agent, and ends as it does', async () => {
    const shown = await run(home, ['sh', '-c', 'echo $NIX_REMOTE; exit 7']);
    expect(shown).toMatchObject({ code: 7, stdout: `unix://${SOCKET}\n` });
    const built = await run(home, nixBuild());
    expect(built.code, built.stderr).toBe(0);
    expect(await lastJob()).toMatchObject({ state: 'built', built: 4, submitter: 'root' });
    expect((await run(home, ['no-such-command'])).code).toBe(127);
    expect((await run(home, ['/etc/passwd'])).code).toBe(126);
  });

  test('reads and writes what the command does', async () => {
    const { stdout, stderr } = await home.exec(['mesh', 'run', '--', 'sh', '-c', 'cat; echo aside >&2'], {
      input: 'through\n',
    });
    expect(stdout).toBe('through\n');
    expect(stderr).toBe('aside\n');
  });

  test('leaves another store alone, and says so', async () => {
    expect(await run(home, ['true'], { NIX_REMOTE: 'ssh-ng://elsewhere' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('NIX_REMOTE is ssh-ng://elsewhere'),
    });
    // Within another `mesh run`.
    expect((await run(home, ['mesh', 'run', '--', 'true'])).code).toBe(0);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('passes %s on', async (signal) => {
    const started = async (script: string): Promise<HostProcess> => {
      const command = home.spawn(['mesh', 'run', '--', 'sh', '-c', script]);
      await command.stdout.waitFor(/^ready$/, WITHIN_MS);
      await command.kill(signal);
      return command;
    };
    const name = signal.slice('SIG'.length);
    const [hears, dies] = await Promise.all([
      started(`trap "echo heard ${name}; exit 5" ${name}; echo ready; while :; do sleep 0.1; done`),
      started('echo ready; exec sleep 1000'),
    ]);
    expect((await hears.exited).code).toBe(5);
    expect(hears.stdout.text()).toContain(`heard ${name}`);
    // As a shell says it: 128 and the signal's number.
    expect((await dies.exited).code).toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
  });

  test("serves other users by the machine's agent, in their own name", async () => {
    const { code, stderr } = await home.exec(asAlice(['mesh', 'run', '--', ...nixBuild()]), {
      check: false,
      timeoutMs: WITHIN_MS,
    });
    expect(code, stderr).toBe(0);
    expect(await lastJob()).toMatchObject({ state: 'built', built: 4, submitter: 'alice' });
  });

  test("serves a user by the user's own agent where there is one", async () => {
    const agent = home.spawn(asAlice(['mesh', 'agent', '--name', 'alices', '--listen', '4757']));
    try {
      const path = await until('her own socket', WITHIN_MS, async () => {
        const { stdout } = await home.exec(asAlice(['mesh', 'run', '--', 'sh', '-c', 'echo $NIX_REMOTE']), {
          check: false,
        });
        return stdout.includes(RUNTIME_DIR) ? stdout.trim().slice('unix://'.length) : undefined;
      });
      const { stdout: mode } = await home.exec(['stat', '-c', '%a %u', path]);
      expect(mode).toBe(`600 ${ALICE}\n`);
      const { code, stderr } = await home.exec(asAlice(['mesh', 'run', '--', ...nixBuild()]), {
        check: false,
        timeoutMs: WITHIN_MS,
      });
      expect(code, stderr).toBe(0);
    } finally {
      await agent.kill();
      await agent.exited;
    }
  });

  test('brings the socket itself where an agent serves none', async () => {
    await home.exec(['mv', SOCKET, `${SOCKET}.away`]);
    try {
      const built = await run(home, nixBuild());
      expect(built.code, built.stderr).toBe(0);
      expect(await lastJob()).toMatchObject({ state: 'built', built: 4 });
      expect((await home.exec(['sh', '-c', 'ls -d /tmp/mesh-run-* || true'])).stdout).toBe('');
    } finally {
      await home.exec(['mv', `${SOCKET}.away`, SOCKET]);
    }
  });

  test('builds alone where there is no agent, and says what to do about it', async () => {
    const built = await run(bare, nixBuild());
    expect(built.code, built.stderr).toBe(0);
    expect(built.stderr).toMatch(/no agent.*mesh agent/is);
    // What needs none is not told of it.
    expect(await run(bare, ['true'])).toMatchObject({ code: 0, stderr: '' });
  });
});
