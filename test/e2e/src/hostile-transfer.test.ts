import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Host, type HostProcess, Lab, repositoryRoot, requireLab, until } from '@mesh/lab';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { validOn } from './host-store.ts';
import { workloadFile } from './workload.ts';

const NODE = [join(repositoryRoot, 'node_modules/.bin/node'), '--conditions=@mesh/source'];
const SUPPORT = join(repositoryRoot, 'packages/transfer/src/test-support');
const STATE_DIR = '/var/lib/transfer-test';
const SOCKET = '/run/transfer-test.sock';

/** A fetch that gets nowhere has ended by then, however its source misbehaves. */
const DEADLINE_MS = 90_000;
/** What serving and fetching may take above an idle process. */
const MEMORY_BYTES = 150 * 1024 * 1024;

interface State {
  peerId: string;
  connected: string[];
  faults: { code: string; path: string; peerId: string }[];
  counters: { badPeers: number };
  rssBytes: number;
}
interface Fetched {
  fetchedPaths: number;
  sources: { peer: string; bytes: number }[];
}

/** Asks the member on a host; an error comes back as it was thrown there. */
async function ask<T>(host: Host, question: object): Promise<T> {
  const socket = connect(host.root + SOCKET);
  await once(socket, 'connect');
  socket.end(JSON.stringify(question));
  const { result, error } = JSON.parse(await text(socket)) as { result: T; error?: { message: string } };
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result;
}

const stateOf = (host: Host) => ask<State>(host, { ask: 'state' });

async function startMember(host: Host): Promise<HostProcess> {
  const program = join(SUPPORT, 'transfer-host.ts');
  const member = host.spawn([...NODE, program, host.name, STATE_DIR, SOCKET, '--mdns']);
  await until(`the member on ${host.name}`, 30_000, () => stateOf(host).catch(() => undefined));
  return member;
}

async function end(process: HostProcess): Promise<void> {
  await process.kill('SIGKILL');
  await process.exited;
}

/** Makes a path of so many MiB that is the same on all these hosts. */
async function make(mib: number, ...hosts: readonly Host[]): Promise<string> {
  const args = ['--argstr', 'salt', randomBytes(6).toString('hex'), '--arg', 'mb', String(mib)];
  const command = ['nix-build', workloadFile('big'), '-A', 'big', '--no-out-link', ...args];
  const [first] = await Promise.all(hosts.map(async (host) => (await host.exec(command)).stdout.trim()));
  return first!;
}

describe.skipIf(requireLab(['sid']))('members that are not what they should be', () => {
  let lab: Lab;
  let taker: Host;
  let liar: Host;
  let honest: Host;
  let takerProcess: HostProcess;
  let liarId: string;
  let honestId: string;
  let lying: HostProcess | undefined;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [taker, liar, honest] = lab.hosts as [Host, Host, Host];
    await startMember(honest);
    takerProcess = await startMember(taker);
    const willLie = await startMember(liar);
    for (const host of [taker, liar]) {
      await ask(host, { ask: 'join', ticket: await ask<string>(honest, { ask: 'invite' }) });
    }
    [liarId, honestId] = [(await stateOf(liar)).peerId, (await stateOf(honest)).peerId];
    await until('all to know all', 20_000, async () => {
      const states = await Promise.all(lab.hosts.map(stateOf));
      return states.every(({ connected }) => connected.length === 2) || undefined;
    });
    await end(willLie);
  });
  afterAll(async () => lab?.down());
  afterEach(async () => {
    if (lying !== undefined) await end(lying);
    lying = undefined;
    await expectSound(taker);
  });

  /** Everything valid is what Nix has written down, with all it refers to. */
  async function expectSound(host: Host): Promise<void> {
    const { stderr } = await host.exec(['nix-store', '--verify', '--check-contents']);
    expect(stderr).not.toMatch(/modified|disappeared|missing|error/);
  }

  async function lie(fault: string): Promise<void> {
    lying = liar.spawn([...NODE, join(SUPPORT, 'lying-member.ts'), 'h2', STATE_DIR, fault]);
    await lying.stdout.waitFor(/^up$/);
    await until('the liar', 20_000, async () => {
      const states = await Promise.all([taker, honest].map(stateOf));
      return states.every(({ connected }) => connected.includes(liarId)) || undefined;
    });
  }

  const fetch = (path: string, ...holders: readonly string[]) =>
    ask<Fetched>(taker, { ask: 'fetch', wanted: [{ path, holders }] });

  /** Lines the taker has written about a path so far. */
  const linesAbout = (path: string) => takerProcess.stderr.lines.filter((line) => line.includes(path));

  /** By what they do: whether it says something about the member, and not about a cable. */
  const FAULTS = {
    'other-bytes': true,
    altered: true,
    'other-key': true,
    'other-size': false,
    'half-and-gone': false,
    'half-and-end': false,
    endless: false,
    garbage: false,
    bomb: false,
    trickle: false,
    silence: false,
  };

  test.for(Object.entries(FAULTS))('%s', { timeout: 3 * DEADLINE_MS }, async ([fault, isBad]) => {
    await lie(fault);
    const alone = await make(12, liar);
    const both = await make(12, liar, honest);
    const before = await stateOf(taker);
    const startMs = performance.now();
    await expect(fetch(alone, liarId)).rejects.toMatchObject({ code: 'TRANSFER_NO_SOURCE' });
    expect(performance.now() - startMs).toBeLessThan(DEADLINE_MS);
    expect(await validOn(taker, [alone])).toEqual([]);
    const told = linesAbout(alone);
    expect(told.length, told.join('\n')).toBeLessThanOrEqual(1);
    const after = await stateOf(taker);
    if (isBad) {
      expect(told).toHaveLength(1);
      expect(after.counters.badPeers - before.counters.badPeers).toBe(1);
      expect(after.faults.at(-1)).toMatchObject({ path: alone, peerId: liarId });
    }
    expect(after.rssBytes - before.rssBytes).toBeLessThan(MEMORY_BYTES);

    const again = performance.now();
    const { fetchedPaths, sources } = await fetch(both, liarId, honestId);
    expect(performance.now() - again).toBeLessThan(DEADLINE_MS);
    expect(fetchedPaths).toBe(1);
    expect(sources.map(({ peer }) => peer)).toContain(honestId);
    await taker.exec(['nix-store', '--verify-path', both]);
    expect(linesAbout(both).length).toBeLessThanOrEqual(1);
    for (const { peerId } of (await stateOf(taker)).faults) expect(peerId).toBe(liarId);
  });

  test('a name as long as names may be', async () => {
    const name = 'n'.repeat(211);
    await honest.writeFile(`/tmp/${name}`, 'the contents');
    const path = (await honest.exec(['nix-store', '--add', `/tmp/${name}`])).stdout.trim();
    expect(path).toHaveLength('/nix/store/'.length + 33 + 211);
    const asked = () => ask<Record<string, string[]>>(taker, { ask: 'who-has', paths: [path] });
    await until('the word of it', 20_000, async () => (await asked())[path] ?? undefined);
    expect((await fetch(path, honestId)).fetchedPaths).toBe(1);
    await taker.exec(['nix-store', '--verify-path', path]);
  });

  describe('a disk that is full', () => {
    /** Leaves so many MiB free where the taker's store is. */
    async function leaveFree(mib: number): Promise<void> {
      const { stdout } = await taker.exec(['df', '-B1', '--output=used', '/nix']);
      const used = Number(stdout.trim().split('\n').at(-1));
      await taker.exec(['mount', '-o', `remount,size=${used + mib * 1024 * 1024}`, '/nix']);
    }
    afterEach(() => taker.exec(['mount', '-o', 'remount,size=50%', '/nix']));

    test.each([[1], [16], [38]])(
      'after %i of 40 MiB: nothing of it is valid, and it comes once there is room',
      async (mib) => {
        const path = await make(40, honest);
        await leaveFree(mib);
        const startMs = performance.now();
        await expect(fetch(path, honestId)).rejects.toMatchObject({ code: 'TRANSFER_IMPORT_FAILED' });
        expect(performance.now() - startMs).toBeLessThan(DEADLINE_MS);
        await taker.exec(['mount', '-o', 'remount,size=50%', '/nix']);
        expect(await validOn(taker, [path])).toEqual([]);
        await expectSound(taker);
        await taker.exec(['nix-store', '--gc']);
        expect((await fetch(path, honestId)).fetchedPaths).toBe(1);
        await taker.exec(['nix-store', '--verify-path', path]);
        expect((await stateOf(taker)).faults.map(({ peerId }) => peerId)).not.toContain(honestId);
      },
    );
  });

  test('100,000 questions at once: the others are answered all the same, and memory stays', async () => {
    const path = await make(4, honest);
    const before = await stateOf(honest);
    await lie('flood');
    await lying!.stdout.waitFor(/^asking$/);
    let worstMs = 0;
    for (let round = 0; round < 10; round += 1) {
      const startMs = performance.now();
      // Whoever is slower than that counts as having nothing, so that a build is not held up.
      await ask(taker, { ask: 'who-has', paths: [path] });
      worstMs = Math.max(worstMs, performance.now() - startMs);
    }
    expect(worstMs).toBeLessThan(5_000);
    expect((await fetch(path, honestId)).fetchedPaths).toBe(1);
    expect((await stateOf(honest)).rssBytes - before.rssBytes).toBeLessThan(MEMORY_BYTES);
  });
});
