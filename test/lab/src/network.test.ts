import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseCable } from './cable.ts';
import {
  CommandFailed,
  cpuQuotaAvailable,
  type Host,
  Lab,
  LabError,
  memoryLimitAvailable,
  processorTimeAvailable,
  repositoryRoot,
  requireLab,
} from './index.ts';

const node = join(repositoryRoot, 'node_modules/.bin/node');

/** Prints every datagram that comes to port 5000, by multicast group 239.1.1.1 or plainly. */
const HEAR = `const s = require('dgram').createSocket('udp4');
s.on('message', (m) => console.log(String(m)));
s.bind(5000, () => { s.addMembership('239.1.1.1'); console.log('listening'); });`;

const say = (host: Host, to: string, text: string) =>
  host.exec([
    node,
    '-e',
    `const s = require('dgram').createSocket('udp4'); s.send(${JSON.stringify(text)}, 5000, '${to}', () => s.close());`,
  ]);

/** Milliseconds of the fastest of three round trips. */
async function roundTripMs(from: Host, to: Host): Promise<number> {
  const { stdout } = await from.exec(['busybox', 'ping', '-c3', '-i0.1', to.address]);
  return Number(/min\/avg\/max = ([\d.]+)/.exec(stdout)?.[1]);
}

const misses = async (from: Host, to: Host) =>
  (await from.exec(['busybox', 'ping', '-c1', '-W1', to.address], { check: false })).code !== 0;

/** A host that was out of reach is asked for its hardware address once a second only, so the first echo may get lost. */
async function reaches(from: Host, to: Host): Promise<boolean> {
  for (let attempt = 0; attempt < 5; attempt++) if (!(await misses(from, to))) return true;
  return false;
}

test('the words of a cable are those of tc netem', () => {
  expect(parseCable('delay 50ms loss 5%')).toEqual({ delayMs: 50, jitterMs: 0, loss: 0.05, rate: 0 });
  expect(parseCable(' rate 10mbit delay 1s 500us ')).toEqual({
    delayMs: 1000,
    jitterMs: 0.5,
    loss: 0,
    rate: 1e7,
  });
  for (const wrong of ['', 'delay', 'delay 50', 'loss 5', 'corrupt 1%', 'delay 1ms 2']) {
    expect(() => parseCable(wrong), wrong).toThrow(LabError);
  }
});

describe.skipIf(requireLab())('the network of a lab', () => {
  test('passes multicast, unless told not to', async () => {
    for (const multicast of [true, false]) {
      await using lab = await Lab.up({ hosts: 2, multicast });
      const [h1, h2] = [lab.host('h1'), lab.host('h2')];
      const heard = h2.spawn([node, '-e', HEAR]);
      await heard.stdout.waitFor(/listening/);
      await say(h1, '239.1.1.1', 'to all');
      await say(h1, h2.address, 'to h2');
      await heard.stdout.waitFor(/to h2/);
      expect(heard.stdout.lines.includes('to all')).toBe(multicast);
    }
  });

  test('a spoilt cable delays, loses and slows, each way, and mends', async () => {
    await using lab = await Lab.up({ hosts: 2 });
    const [h1, h2] = [lab.host('h1'), lab.host('h2')];
    await h2.net('delay 30ms');
    expect(await roundTripMs(h1, h2)).toBeGreaterThanOrEqual(60);
    await h2.net('delay 100ms 20ms');
    expect(await roundTripMs(h2, h1)).toBeGreaterThanOrEqual(160);
    await h2.net('loss 100%');
    expect(await misses(h1, h2)).toBe(true);
    await h2.net(undefined);
    expect(await reaches(h1, h2)).toBe(true);
    await expect(h2.net('corrupt 5%')).rejects.toMatchObject({ code: 'LAB_BAD_OPTIONS' });
  });

  test('a spoilt cable stays so through a power cut', async () => {
    await using lab = await Lab.up({ hosts: 2 });
    const [h1, h2] = [lab.host('h1'), lab.host('h2')];
    await h2.net('delay 30ms');
    await h2.kill();
    await h2.boot();
    expect(await roundTripMs(h1, h2)).toBeGreaterThanOrEqual(60);
  });

  test('a pulled cable cuts one host off', async () => {
    await using lab = await Lab.up({ hosts: 3 });
    const [h1, h2, h3] = [lab.host('h1'), lab.host('h2'), lab.host('h3')];
    await h2.link('down');
    expect(await misses(h1, h2)).toBe(true);
    expect(await reaches(h1, h3)).toBe(true);
    await h2.link('up');
    expect(await reaches(h1, h2)).toBe(true);
  });

  test('a split LAN is two, also over a spoilt cable, until it is healed', async () => {
    await using lab = await Lab.up({ hosts: 4 });
    const [h1, h2, h3, h4] = [lab.host('h1'), lab.host('h2'), lab.host('h3'), lab.host('h4')];
    await h3.net('delay 1ms');
    await lab.partition(['h1', 'h2'], ['h3', 'h4']);
    expect(await reaches(h1, h2)).toBe(true);
    expect(await reaches(h3, h4)).toBe(true);
    expect(await misses(h1, h3)).toBe(true);
    await h3.net(undefined);
    expect(await reaches(h3, h4)).toBe(true);
    expect(await misses(h2, h3)).toBe(true);
    await lab.heal();
    expect(await reaches(h1, h3)).toBe(true);
    expect(await reaches(h2, h4)).toBe(true);
  });

  test.skipIf(!cpuQuotaAvailable().ok)(
    'a slowed host is slow as a whole, old processes and new',
    async () => {
      await using lab = await Lab.up({ hosts: 1 });
      const h1 = lab.host('h1');
      const before = h1.spawn(['sleep', '1000']);
      h1.cpu(0.25);
      h1.cpu(0.5);
      const after = h1.spawn(['sh', '-c', 'echo up; sleep 1000']);
      await after.stdout.waitFor(/up/);
      for (const { pid } of h1.processes()) {
        expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(`mesh-lab-${lab.name}.h1`);
      }
      expect(before.running).toBe(true);
    },
  );

  test.skipIf(!processorTimeAvailable().ok)(
    'processor time of a host is that of all its processes, and of no other host',
    async () => {
      await using lab = await Lab.up({ hosts: 2 });
      const [h1, h2] = lab.hosts as [Host, Host];
      const before = [h1, h2].map((host) => host.processorSeconds());
      // A child of a child, and both have ended when we look.
      await h1.exec(['sh', '-c', 'dd if=/dev/urandom bs=1M count=100 2>/dev/null | sha256sum; true']);
      const [busy, idle] = [h1, h2].map((host, index) => host.processorSeconds() - before[index]!);
      expect(busy).toBeGreaterThan(0.1);
      expect(idle).toBeLessThan(busy! / 5);
    },
  );

  test.skipIf(!memoryLimitAvailable().ok)(
    'a host of little memory says so, and loses the process that takes more',
    async () => {
      await using lab = await Lab.up({ hosts: 2 });
      const [h1, h2] = lab.hosts as [Host, Host];
      if (cpuQuotaAvailable().ok) h1.cpu(1);
      await h1.memory(200 * 2 ** 20);
      const take = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=300M', 'count=1'];
      await expect(h1.exec(take)).rejects.toThrow(CommandFailed);
      expect((await h2.exec(take)).code).toBe(0);
      const seen = await h1.exec([
        'sh',
        '-c',
        'cat /sys/fs/cgroup/memory$(sed -n s/^.*:memory://p /proc/self/cgroup)/memory.limit_in_bytes ' +
          '/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/memory.max 2>/dev/null || true',
      ]);
      expect(seen.stdout.trim()).toBe(String(200 * 2 ** 20));
    },
  );
});
