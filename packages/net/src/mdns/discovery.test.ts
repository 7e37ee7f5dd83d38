import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { until as untilIn } from '../testing.ts';
import type { Announcement } from './packet.ts';

const TIMEOUT_MS = 30_000;
const until = (what: string, condition: () => boolean) => untilIn(what, condition, TIMEOUT_MS);

/** Why network namespaces cannot be had here; undefined where they can. */
function missing(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'network namespaces need root on Linux';
  try {
    execFileSync('unshare', ['-n', 'ip', 'link'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'unshare (util-linux) or ip (iproute2) is missing, or namespaces are not allowed';
  }
}

const reason = missing();
if (reason !== undefined && process.env.CI !== undefined)
  throw new Error(`Discovery cannot be tested: ${reason}.`);

/** A peer in a network namespace of its own. */
class Host {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly heard: Announcement[] = [];
  readonly left: string[] = [];
  self = '';
  errors = '';

  constructor() {
    const program = new URL('./peer-for-tests.ts', import.meta.url).pathname;
    this.#child = spawn('unshare', ['-n', process.execPath, '--conditions=@mesh/source', program]);
    this.#child.stderr.on('data', (data: Buffer) => {
      this.errors += data.toString();
    });
    createInterface(this.#child.stdout).on('line', (line) => {
      const message = JSON.parse(line) as Announcement | { self: string } | { goodbye: string };
      if ('self' in message) this.self = message.self;
      else if ('goodbye' in message) this.left.push(message.goodbye);
      else this.heard.push(message);
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async ready(): Promise<void> {
    await until('the peer is ready', () => this.self !== '' || this.errors !== '');
    if (this.errors !== '') throw new Error(this.errors);
  }

  ip(...args: string[]): void {
    execFileSync('nsenter', ['-t', String(this.pid), '-n', 'ip', ...args]);
  }

  discover(): void {
    this.#child.stdin.write('go\n');
  }

  hears(other: Host): Announcement | undefined {
    return this.heard.find(({ peerId }) => peerId === other.self);
  }

  async stop(): Promise<void> {
    this.#child.stdin.end();
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null) await gone;
  }
}

/** A cable between two hosts. */
function connect(a: [Host, string, string], b: [Host, string, string], prefix = 24): void {
  const [left, leftName] = a;
  const [right, rightName] = b;
  left.ip('link', 'add', leftName, 'type', 'veth', 'peer', 'name', rightName, 'netns', String(right.pid));
  for (const [host, name, address] of [a, b]) {
    host.ip('link', 'set', name, 'up');
    host.ip('address', 'add', `${address}/${prefix}`, 'dev', name, ...(prefix === 64 ? ['nodad'] : []));
  }
}

const hosts: Host[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
});

describe.skipIf(reason !== undefined)(
  `discovery${reason === undefined ? '' : ` (left out: ${reason})`}`,
  () => {
    it('finds peers on every interface without a default route, and announces no loopback address', async () => {
      const [middle, left, right] = [new Host(), new Host(), new Host()];
      hosts.push(middle, left, right);
      await Promise.all(hosts.map((host) => host.ready()));
      connect([middle, 'eth0', '10.1.0.1'], [left, 'eth0', '10.1.0.2']);
      connect([middle, 'eth1', '10.2.0.1'], [right, 'eth0', '10.2.0.2']);
      for (const host of hosts) host.ip('link', 'set', 'lo', 'up');

      left.discover();
      right.discover();
      middle.discover();
      await until('the one in the middle hears both, and both hear it', () =>
        [middle.hears(left), middle.hears(right), left.hears(middle), right.hears(middle)].every(
          (heard) => heard !== undefined,
        ),
      );

      expect(middle.hears(left)).toEqual({
        peerId: left.self,
        addresses: ['/ip4/10.1.0.2/tcp/4747'],
        meshId: left.self,
      });
      expect(left.hears(middle)?.addresses).toContain('/ip4/10.1.0.1/tcp/4747');
      expect([left.hears(right), right.hears(left), left.hears(left)]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      expect(JSON.stringify(hosts.map(({ heard }) => heard))).not.toContain('127.0.0.1');
    });

    it('finds peers where there is IPv6 alone, and hears them leave', async () => {
      const [first, second] = [new Host(), new Host()];
      hosts.push(first, second);
      await Promise.all(hosts.map((host) => host.ready()));
      connect([first, 'eth0', 'fd00:7::1'], [second, 'eth0', 'fd00:7::2'], 64);
      first.discover();
      second.discover();
      await until(
        'both hear each other',
        () => first.hears(second) !== undefined && second.hears(first) !== undefined,
      );
      expect(first.hears(second)?.addresses).toEqual(['/ip6/fd00:7::2/tcp/4747']);
      await second.stop();
      await until('its goodbye is heard', () => first.left.includes(second.self));
    });

    it('finds a peer that comes later at once, and one on an interface that comes later', async () => {
      const [first, second] = [new Host(), new Host()];
      hosts.push(first, second);
      await Promise.all(hosts.map((host) => host.ready()));
      first.discover();
      connect([first, 'eth0', '10.1.0.1'], [second, 'eth0', '10.1.0.2']);
      second.discover();
      await until(
        'both hear each other',
        () => first.hears(second) !== undefined && second.hears(first) !== undefined,
      );
    });
  },
);
