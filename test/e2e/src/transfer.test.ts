import { type Host, IMAGES, type Image, Lab, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, type State, startMember } from './transfer-member.ts';

/** Makes a path with these bytes (any number of MiB of them) and references; returns it. */
async function make(host: Host, name: string, mib = 0, references: readonly string[] = []): Promise<string> {
  const inputs = references.map((path) => `(builtins.storePath ${path})`).join(' ');
  const expression = `derivation {
    name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh"; inputs = [ ${inputs} ];
    args = [ "-c" "mkdir $out; echo ${name} $inputs > $out/name; if [ ${mib} != 0 ]; then dd if=/dev/urandom of=$out/data bs=1048576 count=${mib}; fi" ];
  }`;
  const { stdout } = await host.exec(['nix-build', '--no-out-link', '-E', expression]);
  return stdout.trim();
}

async function isValid(host: Host, path: string): Promise<boolean> {
  return (await host.exec(['nix-store', '--check-validity', path], { check: false })).code === 0;
}

describe.skipIf(requireLab()).each(IMAGES)(
  'transfers between two hosts with the Nix of %s',
  (image: Image) => {
    let lab: Lab;
    let giver: Host;
    let taker: Host;
    let giverId: string;

    beforeAll(async () => {
      lab = await Lab.up({ hosts: 2, image });
      [giver, taker] = lab.hosts as [Host, Host];
      giverId = (await startMember(giver)).peerId;
      await startMember(taker);
      await ask(taker, { ask: 'join', ticket: await ask<string>(giver, { ask: 'invite' }) });
      await until('the two members', 20_000, async () => {
        const states = await Promise.all([giver, taker].map((host) => ask<State>(host, { ask: 'state' })));
        return states.every(({ connected }) => connected.length === 1) ? true : undefined;
      });
    });
    afterAll(async () => lab?.down());

    const fetch = (path: string) =>
      ask<{ fetchedPaths: number; fetchedBytes: number; wallMs: number }>(taker, {
        ask: 'fetch',
        wanted: [{ path, holders: [giverId] }],
      });

    test('a small closure arrives, valid, with the giver’s signature', async () => {
      const lib = await make(giver, 'small-lib');
      const app = await make(giver, 'small-app', 0, [lib]);
      const held = await until('news of the closure', 20_000, async () => {
        const found = await ask<object>(taker, { ask: 'who-has', paths: [app, lib] });
        return Object.keys(found).length === 2 ? found : undefined;
      });
      expect(held).toEqual({ [app]: [giverId], [lib]: [giverId] });
      expect((await fetch(app)).fetchedPaths).toBe(2);
      await taker.exec(['nix-store', '--verify-path', app, lib]);
      const { stdout } = await taker.exec(['nix', 'path-info', '--sigs', app]);
      expect(stdout).toContain(`mesh-${giverId}:`);
      expect((await fetch(app)).fetchedPaths).toBe(0);
    });

    test('a large closure arrives valid, and only what was missing', async () => {
      const base = await make(giver, 'large-base');
      await fetch(base);
      const parts = [await make(giver, 'large-a', 40, [base]), await make(giver, 'large-b', 40, [base])];
      const app = await make(giver, 'large-app', 0, parts);
      const { fetchedPaths, fetchedBytes } = await fetch(app);
      expect(fetchedPaths).toBe(3);
      expect(fetchedBytes).toBeGreaterThan(80 * 1024 * 1024);
      await taker.exec(['nix-store', '--verify-path', app, ...parts]);
      const { stdout } = await taker.exec(['nix-store', '--query', '--references', app]);
      expect(stdout.trim().split('\n').toSorted()).toEqual([...parts].toSorted());
    });

    test('what was signed where it was built is signed once', async () => {
      const path = await make(giver, 'signed');
      const [first] = await ask<string[][]>(giver, { ask: 'sign', paths: [path] });
      const [second] = await ask<string[][]>(giver, { ask: 'sign', paths: [path] });
      expect(first).toHaveLength(1);
      expect(second).toEqual(first);
      expect(first?.[0]).toMatch(new RegExp(`^mesh-${giverId}:`));
    });

    test.each([
      ['small', 0],
      // In pieces, and more than the window at once.
      ['larger', 8],
      ['large', 70],
    ])(
      'a %s path whose bytes are not what the giver signed is refused and leaves nothing',
      async (size, mib) => {
        const path = await make(giver, `spoilt-${size}`, mib);
        await giver.exec([
          'sh',
          '-c',
          'chmod +w "$1" "$1/name" && tr a-z b-za < "$1/name" > /tmp/spoilt && cat /tmp/spoilt > "$1/name"',
          'sh',
          path,
        ]);
        await expect(fetch(path)).rejects.toMatchObject({ code: 'TRANSFER_NO_SOURCE' });
        expect(await isValid(taker, path)).toBe(false);
        const { faults } = await ask<State>(taker, { ask: 'state' });
        expect(faults.at(-1)).toMatchObject({ code: 'TRANSFER_BAD_HASH', path, peerId: giverId });
      },
    );

    test('a giver that is unplugged in the middle is noticed; nothing is half there', async () => {
      const path = await make(giver, 'unfinished', 300);
      await lab.host('h1').net('rate 100mbit');
      const fetching = fetch(path);
      await until('the transfer', 20_000, async () => {
        const { counters } = await ask<{ counters: { connections: number } }>(giver, { ask: 'state' });
        return counters.connections > 0 ? true : undefined;
      });
      await giver.kill();
      await expect(fetching).rejects.toMatchObject({ code: 'TRANSFER_NO_SOURCE' });
      expect(await isValid(taker, path)).toBe(false);
    });
  },
);
