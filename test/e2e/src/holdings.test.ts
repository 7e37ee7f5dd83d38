import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Host, IMAGES, type Image, Lab, repositoryRoot, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const PROGRAM = join(repositoryRoot, 'packages/transfer/src/test-support/transfer-host.ts');
const NODE = join(repositoryRoot, 'node_modules/.bin/node');
const SOCKET = '/run/holdings-test.sock';

interface State {
  peerId: string;
  connected: string[];
  counters: {
    holdings: {
      ownPaths: number;
      toldBytes: number;
      questions: number;
      savedQuestions: number;
      wrongGuesses: number;
    };
  };
}

/** Asks the member on a host. */
async function ask<T>(host: Host, question: object): Promise<T> {
  const socket = connect(host.root + SOCKET);
  await once(socket, 'connect');
  socket.end(JSON.stringify(question));
  const { result, error } = JSON.parse(await text(socket)) as { result: T; error?: { message: string } };
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result;
}

const stateOf = (host: Host) => ask<State>(host, { ask: 'state' });

function start(host: Host) {
  return host.spawn([
    NODE,
    '--conditions=@mesh/source',
    PROGRAM,
    host.name,
    '/var/lib/holdings-test',
    SOCKET,
  ]);
}

const isUp = (host: Host) =>
  until(`the member on ${host.name}`, 30_000, () => stateOf(host).catch(() => undefined));

/** A shell script whose output is a path of this name, built by plain Nix. */
const buildCommand = (name: string, script = 'echo built > $out') => [
  'nix-build',
  '--no-out-link',
  '-E',
  `derivation { name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "${script}" ]; }`,
];

async function build(host: Host, name: string, script?: string): Promise<string> {
  return (await host.exec(buildCommand(name, script))).stdout.trim();
}

describe.skipIf(requireLab()).each(IMAGES)('what members of Nix %s know of each other', (image: Image) => {
  let lab: Lab;
  let giver: Host;
  let asker: Host;
  let giverId: string;
  let giving: ReturnType<typeof start>;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2, image });
    [asker, giver] = lab.hosts as [Host, Host];
    // Before there is a mesh: part of the first summary.
    await build(giver, 'before');
    giving = start(giver);
    start(asker);
    giverId = (await isUp(giver)).peerId;
    await isUp(asker);
    await ask(asker, { ask: 'join', ticket: await ask<string>(giver, { ask: 'invite' }) });
    await known();
  });
  afterAll(async () => lab?.down());

  const probably = (path: string) =>
    ask<{ holders: string[]; unknown: string[] }>(asker, { ask: 'probable-holders', path });

  /** Resolves when the asker has the giver's summary. */
  const known = () =>
    until('the summary', 20_000, async () => {
      const { connected } = await stateOf(asker);
      const { unknown } = await probably('/nix/store/00000000000000000000000000000000-absent');
      return connected.length === 1 && unknown.length === 0 ? true : undefined;
    });

  test('what was there before they met is known without a question', async () => {
    const path = await build(giver, 'before');
    expect((await probably(path)).holders).toEqual([giverId]);
    const { counters } = await stateOf(giver);
    expect(counters.holdings.ownPaths).toBeGreaterThan(1);
  });

  test('nobody is asked for what nobody has; what a summary names is confirmed', async () => {
    const path = await build(giver, 'before');
    const absent = '/nix/store/00000000000000000000000000000000-absent';
    const before = (await stateOf(asker)).counters.holdings;
    expect(await ask(asker, { ask: 'who-has', paths: [absent] })).toEqual({});
    expect(await ask(asker, { ask: 'who-has', paths: [absent, path] })).toEqual({ [path]: [giverId] });
    const after = (await stateOf(asker)).counters.holdings;
    expect(after.savedQuestions - before.savedQuestions).toBe(1);
    expect(after.questions - before.questions).toBe(1);
  });

  test('what plain Nix builds is known within a second, also when it takes its time', async () => {
    for (const [name, script] of [
      ['quick', 'echo quick > $out'],
      ['slow', 'echo begun > $out; sleep 3; echo done >> $out'],
      ['large', 'dd if=/dev/zero of=$out bs=1048576 count=200'],
    ] as const) {
      const path = await build(giver, name, script);
      const built = performance.now();
      await until(`${name} is known`, 5_000, async () =>
        (await probably(path)).holders.includes(giverId) ? true : undefined,
      );
      const lagMs = performance.now() - built;
      console.log(`${image}: ${name} known ${lagMs.toFixed(0)} ms after nix-build ended`);
      expect(lagMs, name).toBeLessThan(1_000);
      expect(await ask(asker, { ask: 'who-has', paths: [path] })).toEqual({ [path]: [giverId] });
    }
  });

  test('what one member fetched is known to the other', async () => {
    const path = await build(giver, 'handed-on');
    await ask(asker, { ask: 'fetch', wanted: [{ path, holders: [giverId] }] });
    await until('it is known', 5_000, async () => {
      const { holders } = await ask<{ holders: string[] }>(giver, { ask: 'probable-holders', path });
      return holders.length === 1 ? true : undefined;
    });
  });

  test('a path that was collected is a wrong guess: asked for once, held by nobody', async () => {
    const path = await build(giver, 'collected');
    await until('it is known', 5_000, async () =>
      (await probably(path)).holders.length === 1 ? true : undefined,
    );
    await until('it is deleted', 90_000, async () =>
      (await giver.exec(['nix-store', '--delete', path], { check: false })).code === 0 ? true : undefined,
    );
    const before = (await stateOf(asker)).counters.holdings.wrongGuesses;
    expect((await probably(path)).holders).toEqual([giverId]);
    expect(await ask(asker, { ask: 'who-has', paths: [path] })).toEqual({});
    expect((await stateOf(asker)).counters.holdings.wrongGuesses - before).toBe(1);
    await expect(ask(asker, { ask: 'fetch', wanted: [{ path, holders: [] }] })).rejects.toMatchObject({
      code: 'TRANSFER_NO_SOURCE',
    });
    // Built again, it is one more time what the summary says.
    await build(giver, 'collected');
    expect((await ask<object>(asker, { ask: 'who-has', paths: [path] })) as object).toEqual({
      [path]: [giverId],
    });
  });

  test('nothing is sent while nothing changes', async () => {
    // What came before may still be on its way.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = await stateOf(giver);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect((await stateOf(giver)).counters.holdings.toldBytes).toBe(before.counters.holdings.toldBytes);
  });

  test('a member that was restarted tells anew, with what was built while it was away', async () => {
    await giving.kill('SIGKILL');
    await until('it is missed', 30_000, async () =>
      (await stateOf(asker)).connected.length === 0 ? true : undefined,
    );
    const path = await build(giver, 'while-away');
    expect((await probably(path)).holders).toEqual([]);
    await giver.exec(['rm', SOCKET]);
    giving = start(giver);
    await isUp(giver);
    await known();
    expect((await probably(path)).holders).toEqual([giverId]);
  });
});
