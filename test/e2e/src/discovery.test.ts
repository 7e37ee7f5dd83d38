import { readFileSync } from 'node:fs';
import { type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peersSeenBy, untilConnected, untilSeen } from './local-api.ts';

const STATE_DIR = '/var/lib/mesh';
/** 224.0.0.251, the group of multicast DNS, as /proc/net/igmp writes it. */
const MDNS_GROUP = 'FB0000E0';
/** Of one machine in ten quiet seconds: a question, as each asks ever more rarely, and answers to those of two others. */
const QUIET_MS = 10_000;
const MAX_QUIET_PACKETS = 3;

const without = (host: Host, hosts: readonly Host[]) => hosts.filter((other) => other !== host);

async function stopAgents(mesh: LabMesh, hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) await mesh.agents.get(host.name)!.kill();
  await Promise.all(hosts.map((host) => mesh.agents.get(host.name)!.exited));
}

/** Of the kernel's counters of a host, one. */
function counter(host: Host, name: string): number {
  const lines = readFileSync(`/proc/${host.pid}/net/netstat`, 'utf8').split('\n');
  const titles = lines.find((line) => line.startsWith('IpExt:') && line.includes(name))!.split(' ');
  const values = lines[lines.indexOf(titles.join(' ')) + 1]!.split(' ');
  return Number(values[titles.indexOf(name)]);
}

/** Interfaces on which a host listens to a multicast group. */
function listeningOn(host: Host, group: string): string[] {
  const interfaces: string[] = [];
  let device = '';
  for (const line of readFileSync(`/proc/${host.pid}/net/igmp`, 'utf8').split('\n')) {
    device = /^\d+\s+(\S+)/.exec(line)?.[1] ?? device;
    if (line.trim().startsWith(group)) interfaces.push(device);
  }
  return interfaces;
}

describe.skipIf(requireLab(['sid']))('discovery on a LAN with multicast', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let h1: Host;
  let h2: Host;
  let h3: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [h1, h2, h3] = lab.hosts as [Host, Host, Host];
    // Its cable is out when its agent starts.
    await h3.link('down');
    mesh = await LabMesh.up(lab, { join: false });
  });
  afterAll(async () => lab?.down());

  const peerIdOf = async (host: Host) => (await peersSeenBy(host)).members.find(({ self }) => self)!.peerId;

  test('agents find each other though no machine has a default route', async () => {
    expect((await h1.exec(['ip', 'route', 'show', 'default'])).stdout).toBe('');
    const other = await peerIdOf(h2);
    await untilSeen(h1, 'h2', ({ strangers }) => strangers.some(({ peerId }) => peerId === other));
  });

  test('a machine whose cable is plugged in later is found, and finds', async () => {
    const [first, late] = [await peerIdOf(h1), await peerIdOf(h3)];
    expect((await peersSeenBy(h1)).strangers.map(({ peerId }) => peerId)).not.toContain(late);
    await h3.link('up');
    await untilSeen(h1, 'h3', ({ strangers }) => strangers.some(({ peerId }) => peerId === late));
    await untilSeen(h3, 'h1', ({ strangers }) => strangers.some(({ peerId }) => peerId === first));
    const found = (await peersSeenBy(h1)).strangers.find(({ peerId }) => peerId === late);
    expect(found?.addresses).toEqual([`/ip4/${h3.address}/tcp/4747`]);
  });

  test('nothing listens or announces on loopback', async () => {
    for (const host of lab.hosts) {
      expect(listeningOn(host, MDNS_GROUP)).toEqual(['eth0']);
      expect(JSON.stringify((await peersSeenBy(host)).strangers)).not.toContain('127.0.0.1');
    }
  });

  test('an agent that is killed is seen to be down within a second', async () => {
    for (const host of [h2, h3]) await mesh.join(host, h1);
    await untilConnected(lab.hosts);
    await mesh.agents.get('h2')!.kill('SIGKILL');
    const began = performance.now();
    await Promise.all(
      [h1, h3].map((host) =>
        untilSeen(host, 'h2 down', ({ members }) =>
          members.some(({ name, connected }) => name === 'h2' && !connected),
        ),
      ),
    );
    expect(performance.now() - began).toBeLessThan(1_000 * 2);
    await mesh.startAgent(h2);
    await untilConnected(lab.hosts);
  });

  test('a machine whose plug is pulled is seen to be down within ten seconds', async () => {
    await h2.kill();
    const took = await untilSeen(h1, 'h2 down', ({ members }) =>
      members.some(({ name, connected }) => name === 'h2' && !connected),
    );
    expect(took).toBeLessThan(10_000 * 1.5);
    await h2.boot();
    await mesh.startAgent(h2);
    await untilConnected(lab.hosts);
  });

  test('an agent that stands still is up for five seconds, down after fifteen, and back when it goes on', async () => {
    const isUp = async (name: string) =>
      (await peersSeenBy(h1)).members.find((member) => member.name === name)!.connected;
    const [briefly, long] = [mesh.agents.get('h2')!, mesh.agents.get('h3')!];
    await Promise.all([briefly.kill('SIGSTOP'), long.kill('SIGSTOP')]);
    const began = performance.now();
    const down = new Set<string>();
    while (performance.now() - began < 15_000 && !down.has('h3')) {
      for (const name of ['h2', 'h3']) if (!(await isUp(name))) down.add(name);
      if (performance.now() - began < 5_000) expect([...down]).toEqual([]);
      else await briefly.kill('SIGCONT');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect([...down]).toEqual(['h3']);
    await long.kill('SIGCONT');
    await untilConnected(lab.hosts);
  });

  test('an idle agent is small, and sends hardly any multicast once all know all', async () => {
    const before = lab.hosts.map((host) => counter(host, 'OutMcastPkts'));
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    for (const [index, host] of lab.hosts.entries()) {
      const sent = counter(host, 'OutMcastPkts') - before[index]!;
      expect(sent, `packets of ${host.name}`).toBeLessThanOrEqual(MAX_QUIET_PACKETS);
      const status = readFileSync(`/proc/${mesh.agents.get(host.name)!.pid}/status`, 'utf8');
      const residentKiB = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
      expect(residentKiB / 1024, `MiB of ${host.name}`).toBeLessThan(150);
    }
  });
});

describe.skipIf(requireLab(['sid']))('a LAN without multicast', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let args: string[] = [];

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3, multicast: false });
    mesh = await LabMesh.up(lab, { agentArgs: (host) => (host.name === 'h1' ? [] : args) });
  });
  afterAll(async () => lab?.down());

  test('tickets bring the inviter’s address, and gossip those of the others', async () => {
    // beforeAll waited until all were connected with all; nobody can have been discovered.
    for (const host of lab.hosts) {
      const { members } = await peersSeenBy(host);
      for (const other of without(host, lab.hosts)) {
        expect(members.find(({ name }) => name === other.name)?.addresses).toEqual([
          `/ip4/${other.address}/tcp/4747`,
        ]);
      }
    }
  });

  test('`--peer` with the address of one member is enough to find all', async () => {
    await stopAgents(mesh, lab.hosts);
    for (const host of lab.hosts) await host.exec(['rm', `${STATE_DIR}/peers.json`]);
    args = ['--no-mdns', '--peer', `/ip4/${lab.host('h1').address}/tcp/4747`];
    await Promise.all(lab.hosts.map((host) => mesh.startAgent(host)));
    await untilConnected(lab.hosts);
  });

  test('members that were met before are found again without either', async () => {
    await stopAgents(mesh, lab.hosts);
    args = ['--no-mdns'];
    await Promise.all(lab.hosts.map((host) => mesh.startAgent(host)));
    await untilConnected(lab.hosts);
  });
});

describe.skipIf(requireLab(['sid']))('eight machines', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 8 });
  });
  afterAll(async () => lab?.down());

  test('are all connected with all seconds after the last has joined', async () => {
    const mesh = await LabMesh.up(lab, { join: false });
    const [founder, ...others] = lab.hosts as [Host, ...Host[]];
    for (const host of others) await mesh.join(host, founder);
    expect(await untilConnected(lab.hosts)).toBeLessThan(10_000);
  });
});
