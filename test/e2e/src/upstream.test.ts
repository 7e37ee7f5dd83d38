import { type Host, type HostProcess, IMAGES, type Image, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addNixConf, outputsOf, validOn } from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const MIB = 1024 * 1024;
const MB = 24;
const CACHE = '/srv/cache';
const PORT = 8080;

/** Four hosts: the home, a worker with a substituter, one without, and a binary cache that is in no mesh with them. */
class Scene {
  readonly lab: Lab;
  readonly mesh: LabMesh;
  readonly cache: Host;
  #server: HostProcess;

  private constructor(lab: Lab, mesh: LabMesh, cache: Host, server: HostProcess) {
    this.lab = lab;
    this.mesh = mesh;
    this.cache = cache;
    this.#server = server;
  }

  static async up(image: Image): Promise<Scene> {
    const lab = await Lab.up({ hosts: 4, image });
    const [home, near, far, cache] = lab.hosts as [Host, Host, Host, Host];
    await cache.writeFile(`${CACHE}/nix-cache-info`, 'StoreDir: /nix/store\n');
    const server = await serve(cache);
    const conf = `substituters = http://${cache.address}:${PORT}\nrequire-sigs = false\n`;
    await Promise.all([home, near].map((host) => addNixConf(host, conf)));
    const mesh = await LabMesh.up(lab, { join: false });
    for (const host of [near, far]) await mesh.join(host, home);
    await mesh.untilConnected([home, near, far]);
    return new Scene(lab, mesh, cache, server);
  }

  get home(): Host {
    return this.lab.host('h1');
  }

  /** A large path and a small one that is made of it, of which nobody has anything but the cache. */
  async offer(): Promise<{ work: string[]; big: string }> {
    const work = workload('big', '--arg', 'mb', `${MB}`);
    const { stdout } = await this.cache.exec(['nix-build', '--no-out-link', ...work.slice(1), '-A', 'big']);
    const big = stdout.trim();
    const drvs = await this.home.exec(['nix-instantiate', ...work.slice(1), '-A', 'big']);
    expect(outputsOf(this.home, drvs.stdout.trim())).toEqual([big]);
    await this.cache.exec(['nix', 'copy', '--to', `file://${CACHE}?compression=none`, big]);
    return { work, big };
  }

  /** Builds what is made of the large path on one worker; answers who sent how many bytes of it, and what home received. */
  async buildOn(worker: string, work: readonly string[]) {
    const before = await receivedBy(this.home);
    const args = [...work, 'dependant', '--on', worker, '--print-out-paths'];
    const { code, stdout, stderr, report } = await this.mesh.build(this.home, args);
    expect(code, stderr).toBe(0);
    const { peers, derivations } = soundReport(report);
    const sent = (name: string) => peers.find((peer) => peer.name === name)?.bytesOut ?? 0;
    return {
      out: stdout.trim(),
      stderr,
      sent,
      derivations,
      homeReceived: (await receivedBy(this.home)) - before,
    };
  }

  async stopServer(): Promise<void> {
    await this.#server.kill('SIGKILL');
  }

  async startServer(): Promise<void> {
    this.#server = await serve(this.cache);
  }
}

async function serve(cache: Host): Promise<HostProcess> {
  const server = cache.spawn(['busybox', 'httpd', '-f', '-p', `${PORT}`, '-h', CACHE]);
  await until('the binary cache', 10_000, async () => {
    const url = `http://127.0.0.1:${PORT}/nix-cache-info`;
    return (await cache.exec(['busybox', 'wget', '-q', '-O', '/dev/null', url], { check: false })).code === 0
      ? true
      : undefined;
  });
  return server;
}

/** Bytes that came over the host's cable since it was plugged in. */
async function receivedBy(host: Host): Promise<number> {
  const { stdout } = await host.exec(['cat', '/proc/net/dev']);
  const devices = stdout.matchAll(/^\s*(\w+):\s*(\d+)/gm);
  return [...devices].reduce((sum, [, name, bytes]) => (name === 'lo' ? sum : sum + Number(bytes)), 0);
}

describe.skipIf(requireLab()).each(IMAGES)('inputs that substituters offer, with the Nix of %s', (image) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.up(image);
  });
  afterAll(async () => scene?.lab.down());

  test('come to a worker from its own, and home does not get them', async () => {
    const { work, big } = await scene.offer();
    const { out, sent, derivations, homeReceived } = await scene.buildOn('h2', work);
    expect(derivations.map(({ name, peer }) => [name, peer])).toEqual([['big-dependant', 'h2']]);
    expect(sent('upstream')).toBeGreaterThan(MB * MIB);
    expect(homeReceived).toBeLessThan(MIB);
    expect(await validOn(scene.home, [out, big])).toEqual([out]);
    expect(await validOn(scene.lab.host('h2'), [big])).toEqual([big]);
  });

  test('come by way of home to a worker whose own do not have them', async () => {
    const { work, big } = await scene.offer();
    const { sent, stderr, derivations } = await scene.buildOn('h3', work);
    expect(derivations.map(({ name, peer }) => [name, peer]).sort()).toEqual([
      ['big', 'h1'],
      ['big-dependant', 'h3'],
    ]);
    expect(sent('h1')).toBeGreaterThan(MB * MIB);
    expect(stderr).toMatch(
      /The substituters of another machine could not give .*-big\.drv; this machine gets it/,
    );
    expect(await validOn(scene.home, [big])).toEqual([big]);
  });
});

describe.skipIf(requireLab(['sid']))('inputs that substituters offer', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.up('sid');
  });
  afterAll(async () => scene?.lab.down());

  test('come from a member that has them, where that is faster', async () => {
    const { work, big } = await scene.offer();
    const from = `http://${scene.cache.address}:${PORT}`;
    await scene.lab.host('h3').exec(['nix', 'copy', '--no-check-sigs', '--from', from, big]);
    await scene.cache.net('rate 20mbit');
    const { sent, homeReceived } = await scene.buildOn('h2', work);
    await scene.cache.net(undefined);
    expect(sent('h3')).toBeGreaterThan(MB * MIB);
    expect(sent('upstream')).toBe(0);
    expect(homeReceived).toBeLessThan(MIB);
  });

  test('are built where the substituters offer them and do not give them', async () => {
    const { work, big } = await scene.offer();
    await scene.cache.exec(['sh', '-c', `rm ${CACHE}/nar/*`]);
    const { sent, derivations } = await scene.buildOn('h2', work);
    expect(sent('upstream')).toBe(0);
    expect(derivations.map(({ name }) => name).sort()).toEqual(['big', 'big-dependant']);
    expect(await validOn(scene.lab.host('h2'), [big])).toEqual([big]);
  });

  test('are built where the substituters are off', async () => {
    const { work } = await scene.offer();
    await scene.stopServer();
    const { derivations } = await scene.buildOn('h2', work);
    await scene.startServer();
    expect(derivations.map(({ name, peer }) => [name, peer]).sort()).toEqual([
      ['big', 'h2'],
      ['big-dependant', 'h2'],
    ]);
  });

  test('are built where the substituters say nothing at all', async () => {
    const { work } = await scene.offer();
    await scene.cache.freeze();
    const startMs = performance.now();
    const { derivations } = await scene.buildOn('h2', work);
    const wallMs = performance.now() - startMs;
    scene.cache.thaw();
    expect(derivations).toHaveLength(2);
    expect(wallMs).toBeLessThan(60_000);
  });
});
