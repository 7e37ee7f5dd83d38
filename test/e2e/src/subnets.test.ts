import { type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memberIn, peersSeenBy, untilConnected, untilSeen } from './local-api.ts';

const PEERS_FILE = '/var/lib/mesh/peers.json';

/** Four derivations that need the one before each, built by `near` and `far` in turn: each needs what the other made. */
const CHAIN = `
let step = n: previous: derivation {
  name = "step-\${toString n}"; system = builtins.currentSystem; builder = "/bin/sh";
  requiredSystemFeatures = [ (if n / 2 * 2 == n then "far" else "near") ];
  args = [ "-c" "read text < \${previous}; echo $text \${toString n} > $out" ];
};
in builtins.foldl' (previous: n: step n previous) (builtins.toFile "start" "start\n") [ 1 2 3 4 ]
`;

/**
 * Two LANs, 10.77.0.0/24 and 10.78.0.0/24. `router` has a card in both, `near` is in the first and `far` in the second; multicast
 * does not pass from one to the other, nor does anything else while the router does not forward.
 */
describe.skipIf(requireLab(['sid']))('two LANs and a machine in both', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let router: Host;
  let near: Host;
  let far: Host;
  const args = new Map<string, string[]>();

  const forward = (on: boolean) =>
    router.exec(['sh', '-c', `echo ${Number(on)} >/proc/sys/net/ipv4/ip_forward`]);
  const peerIdOf = async (host: Host) => (await peersSeenBy(host)).members.find(({ self }) => self)!.peerId;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [router, near, far] = lab.hosts as [Host, Host, Host];
    await far.moveTo('b');
    await router.addCard('eth1', 'b');
    await router.setAddresses('eth0', '10.77.0.1/24');
    await router.setAddresses('eth1', '10.78.0.1/24');
    await near.setAddresses('eth0', '10.77.0.2/24');
    await far.setAddresses('eth0', '10.78.0.3/24');
    // As containers would: a bridge that leads nowhere but into this machine.
    await router.exec([
      'sh',
      '-ec',
      'ip link add docker0 type bridge; ip link add inner type bridge; ip link add v0 type veth peer name v1; ip link set v0 master inner',
    ]);
    await router.exec(['sh', '-ec', 'for i in v0 v1 inner docker0; do ip link set $i up; done']);
    await router.setAddresses('inner', '10.88.0.1/24');
    await router.setAddresses('docker0', '172.17.0.1/16');
    await near.exec(['ip', 'route', 'add', '10.78.0.0/24', 'via', '10.77.0.1']);
    await far.exec(['ip', 'route', 'add', '10.77.0.0/24', 'via', '10.78.0.1']);
    await far.exec(['sh', '-c', 'echo 10.78.0.1 rendezvous.example.org >>/etc/hosts']);
    await forward(false);
    for (const [host, feature] of [
      [near, 'near'],
      [far, 'far'],
    ] as const) {
      await host.exec(['sh', '-c', `echo 'system-features = ${feature}' >>/etc/nix/nix.conf`]);
      await host.stopDaemon();
      await host.startDaemon();
    }
    mesh = await LabMesh.up(lab, { join: false, agentArgs: ({ name }) => args.get(name) ?? [] });
  });
  afterAll(async () => lab?.down());

  test('it is found on either by its address there, and the two do not see each other', async () => {
    const id = await peerIdOf(router);
    for (const [host, address] of [
      [near, '/ip4/10.77.0.1/tcp/4747'],
      [far, '/ip4/10.78.0.1/tcp/4747'],
    ] as const) {
      await untilSeen(host, 'the router', ({ strangers }) => strangers.some(({ peerId }) => peerId === id));
      const { strangers } = await peersSeenBy(host);
      expect(strangers.map(({ addresses }) => addresses)).toEqual([[address]]);
    }
  });

  test('it never names its bridges of containers', async () => {
    const { addresses } = JSON.parse((await mesh.run(router, ['status', '--json'])).stdout) as {
      addresses: string[];
    };
    expect(addresses.map((address) => address.replace(/\/p2p\/.*/, ''))).toEqual([
      '/ip4/10.77.0.1/tcp/4747',
      '/ip4/10.78.0.1/tcp/4747',
    ]);
  });

  test('a machine of the other LAN joins by a ticket, and all are connected by way of the router', async () => {
    await forward(true);
    await mesh.join(router, near);
    await mesh.join(far, near);
    await untilConnected(lab.hosts);
  });

  test('where they cannot reach each other each says so and why, and work flows through the one both reach', async () => {
    await forward(false);
    for (const [host, other] of [
      [near, 'h3'],
      [far, 'h2'],
    ] as const) {
      await untilSeen(host, `${other} out of reach`, (peers) => {
        const { connected, fault } = memberIn(peers, other);
        return !connected && fault !== undefined;
      });
    }
    const { stdout } = await mesh.run(near, ['peers']);
    expect(stdout).toMatch(/h3: .*10\.78\.0\.3:4747: (no answer|no machine answers there)/);

    await router.writeFile('/root/chain.nix', CHAIN);
    const { code, stderr, report } = await mesh.build(router, ['-f', '/root/chain.nix']);
    expect(code, stderr).toBe(0);
    expect(report?.derivations.map(({ name, peer }) => `${name} on ${peer}`).toSorted()).toEqual([
      'step-1 on h2',
      'step-2 on h3',
      'step-3 on h2',
      'step-4 on h3',
    ]);
  });

  test('one that knows the router by name alone learns of the others and calls them itself', async () => {
    await forward(true);
    const agent = mesh.agents.get('h3')!;
    await agent.kill('SIGTERM');
    await agent.exited;
    await far.exec(['rm', '-f', PEERS_FILE]);
    args.set('h3', ['--no-mdns', '--peer', 'nowhere.invalid', '--peer', 'rendezvous.example.org']);
    await mesh.startAgent(far);
    await untilConnected(lab.hosts);
  });

  test('it loses one of its networks and reaches everybody over the other', async () => {
    await router.exec(['ip', 'link', 'set', 'eth0', 'down']);
    await untilSeen(router, 'h2 gone', (peers) => !memberIn(peers, 'h2').connected);
    expect(memberIn(await peersSeenBy(router), 'h3').connected).toBe(true);
    await router.exec(['ip', 'link', 'set', 'eth0', 'up']);
    const took = await untilSeen(router, 'h2 back', (peers) => memberIn(peers, 'h2').connected);
    expect(took).toBeLessThan(5_000);
  });
});
