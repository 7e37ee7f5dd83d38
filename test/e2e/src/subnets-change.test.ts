import { type Host, Lab, LabMesh, type Report, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memberIn, peersSeenBy, untilConnected, untilSeen } from './local-api.ts';

/** What the contract allows from the moment a machine is back. */
const BACK_WITHIN_MS = 5_000;
/** Long enough for the others to have given a machine up. */
const ASLEEP_MS = 11_000;

/** A derivation of its own for each name. */
const expression = (name: string) => `
derivation { name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${name} > $out" ]; }
`;

describe.skipIf(requireLab(['sid']))('a LAN of IPv6 alone, where machines come, go and move', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let h1: Host;
  let h2: Host;
  let h3: Host;

  const up = (name: string) => (peers: Awaited<ReturnType<typeof peersSeenBy>>) =>
    memberIn(peers, name).connected;
  const down = (name: string) => (peers: Awaited<ReturnType<typeof peersSeenBy>>) => !up(name)(peers);

  async function buildOn(peer: string, name: string): Promise<Report | undefined> {
    await h1.writeFile(`/root/${name}.nix`, expression(name));
    const { code, stderr, report } = await mesh.build(h1, ['-f', `/root/${name}.nix`, '--on', peer]);
    expect(code, stderr).toBe(0);
    expect(report?.derivations.map((derivation) => derivation.peer)).toEqual([peer]);
    return report;
  }

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [h1, h2, h3] = lab.hosts as [Host, Host, Host];
    for (const [index, host] of lab.hosts.entries()) await host.setAddresses('eth0', `fd77::${index + 1}/64`);
    mesh = await LabMesh.up(lab, { join: false });
  });
  afterAll(async () => lab?.down());

  test('machines find each other by multicast', async () => {
    const { members } = await peersSeenBy(h2);
    const own = members.find(({ self }) => self)!;
    expect(own.addresses).toEqual(['/ip6/fd77::2/tcp/4747']);
    await untilSeen(h1, 'h2', ({ strangers }) =>
      strangers.some(
        ({ peerId, addresses }) => peerId === own.peerId && addresses.includes(own.addresses[0]!),
      ),
    );
  });

  test('they join by ticket and build for each other', async () => {
    await mesh.join(h2, h1);
    await mesh.join(h3, h1);
    await untilConnected(lab.hosts);
    const report = await buildOn('h2', 'first');
    expect(report?.peers.find(({ name }) => name === 'h1')?.bytesIn).toBeGreaterThan(0);
  });

  test('one whose address changes is connected again within five seconds, with all', async () => {
    await h2.setAddresses('eth0', 'fd77::22/64');
    const began = performance.now();
    for (const other of [h1, h3]) {
      await untilSeen(other, 'h2 at its new address', (peers) => {
        const member = memberIn(peers, 'h2');
        return member.connected && member.addresses[0] === '/ip6/fd77::22/tcp/4747';
      });
    }
    await untilSeen(h2, 'all', (peers) => up('h1')(peers) && up('h3')(peers));
    const tookMs = performance.now() - began;
    console.info(`back at a new address after ${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(BACK_WITHIN_MS);
    await buildOn('h2', 'moved');
  });

  test('one that sleeps is back with all within five seconds of waking', async () => {
    const agent = mesh.agents.get('h3')!;
    await h3.link('down');
    await agent.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, ASLEEP_MS));
    for (const other of [h1, h2]) await untilSeen(other, 'h3 asleep', down('h3'));
    await h3.link('up');
    await agent.kill('SIGCONT');
    const began = performance.now();
    for (const other of [h1, h2]) await untilSeen(other, 'h3 awake', up('h3'));
    await untilSeen(h3, 'all', (peers) => up('h1')(peers) && up('h2')(peers));
    const tookMs = performance.now() - began;
    console.info(`back after sleep after ${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(BACK_WITHIN_MS);
  });
});
