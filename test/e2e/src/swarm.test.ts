import { type Host, Lab, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, type State, startMember } from './transfer-member.ts';

const MIB = 64;
const BYTES = MIB * 1024 * 1024;
const SLOW = 'rate 200mbit';

interface Fetched {
  readonly fetchedBytes: number;
  readonly resentBytes: number;
  readonly sources: readonly { peer: string; bytes: number }[];
}

describe.skipIf(requireLab())('a large path that several want or have', () => {
  let lab: Lab;
  let giver: Host;
  let takers: Host[];
  const ids = new Map<Host, string>();

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 4 });
    [giver, ...takers] = lab.hosts as [Host, ...Host[]];
    for (const host of lab.hosts) ids.set(host, (await startMember(host, '--mdns')).peerId);
    const ticket = () => ask<string>(giver, { ask: 'invite' });
    for (const host of takers) await ask(host, { ask: 'join', ticket: await ticket() });
    await until('all members', 40_000, async () => {
      const states = await Promise.all(lab.hosts.map((host) => ask<State>(host, { ask: 'state' })));
      return states.every(({ connected }) => connected.length === 3) ? true : undefined;
    });
    await giver.net(SLOW);
  });
  afterAll(async () => lab?.down());

  async function make(name: string): Promise<string> {
    const expression = `derivation {
      name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh";
      args = [ "-c" "dd if=/dev/urandom of=$out bs=1048576 count=${MIB}" ];
    }`;
    return (await giver.exec(['nix-build', '--no-out-link', '-E', expression])).stdout.trim();
  }
  const fetch = (host: Host, path: string, holders: readonly Host[]) =>
    ask<Fetched>(host, { ask: 'fetch', wanted: [{ path, holders: holders.map((one) => ids.get(one)!) }] });
  const sentBy = async (host: Host) => (await ask<State>(host, { ask: 'state' })).counters.sentBytes;

  test('three that want it at once feed each other: its only holder sends it little more than once', async () => {
    const path = await make('wanted-by-three');
    const before = await sentBy(giver);
    const fetched = await Promise.all(takers.map((host) => fetch(host, path, [giver])));
    for (const host of takers) await host.exec(['nix-store', '--verify-path', path]);
    expect((await sentBy(giver)) - before).toBeLessThan(1.5 * BYTES);
    const others = fetched.flatMap(({ sources }) => sources.filter(({ peer }) => peer !== ids.get(giver)));
    expect(others.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(BYTES);
  });

  test('two holders give at once, and where one is unplugged half-way the other goes on', async () => {
    const path = await make('held-by-two');
    const [second, victim, taker] = takers as [Host, Host, Host];
    await fetch(victim, path, [giver]);
    await fetch(second, path, [giver]);
    await taker.net(SLOW);
    const before = await sentBy(victim);
    const fetching = fetch(taker, path, [second, victim]);
    await until('a part from the victim', 20_000, async () =>
      (await sentBy(victim)) - before > BYTES / 8 ? true : undefined,
    );
    await victim.kill();
    const { fetchedBytes, resentBytes, sources } = await fetching;
    await taker.exec(['nix-store', '--verify-path', path]);
    expect(fetchedBytes).toBeGreaterThan(BYTES);
    expect(resentBytes).toBeLessThan(0.05 * BYTES);
    expect(sources.length).toBeGreaterThan(1);
  });
});
