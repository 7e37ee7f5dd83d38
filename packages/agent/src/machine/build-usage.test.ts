import { type ChildProcess, spawn } from 'node:child_process';
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@mesh/net';
import { ManualClock } from '@mesh/net/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BuildWatch, SampledBuildUsage } from './build-usage.ts';

const MIB = 1024 ** 2;
const PAGE = 4_096;
const hash = (letter: string) => letter.repeat(32);
const DRV = `/nix/store/${hash('a')}-hello-1.0.drv`;
const OUT = `/nix/store/${hash('b')}-hello-1.0`;
const OTHER_DRV = `/nix/store/${hash('c')}-world.drv`;
const OTHER_OUT = `/nix/store/${hash('d')}-world`;

const isRoot = process.getuid?.() === 0;

describe('what a build uses, by a procfs', () => {
  let root: string;
  let clock: ManualClock;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'mesh-proc-'));
    clock = new ManualClock();
  });
  afterEach(() => rm(root, { recursive: true }));

  interface Told {
    env?: string[];
    parent?: number;
    cpuTicks?: number;
    bytes?: number;
    sharedAnonBytes?: number;
    uid?: number;
    files?: Record<string, string>;
  }

  async function runs(pid: number, told: Told = {}): Promise<void> {
    const { env = [], parent = 1, cpuTicks = 0, bytes = 0, sharedAnonBytes = 0, uid, files = {} } = told;
    const folder = join(root, String(pid));
    await mkdir(folder, { recursive: true });
    const content = {
      environ: env.map((entry) => `${entry}\0`).join(''),
      stat: `${pid} (odd) name) S ${parent} 1 1 0 -1 4194304 99 0 0 0 ${cpuTicks} 0 0 0 20 0 1 0 1 1 1`,
      statm: `99999 ${bytes / PAGE + 100} 100 1 0 1 0`,
      smaps_rollup: `1-2 ---p 00000000 00:00 0 [rollup]\nPss: 9 kB\nPss_Anon: ${(bytes - sharedAnonBytes) / 1024} kB\n`,
      ...files,
    };
    for (const [name, text] of Object.entries(content)) {
      await mkdir(join(folder, name, '..'), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    if (uid !== undefined) await chown(folder, uid, uid);
  }

  const ends = (pid: number) => rm(join(root, String(pid)), { recursive: true });
  const builder = (out: string, ...more: string[]) => [
    'NIX_BUILD_TOP=/build',
    'name=hello-1.0',
    `out=${out}`,
    ...more,
  ];

  function usage(ownUser = process.getuid?.() ?? 0): SampledBuildUsage {
    return new SampledBuildUsage({ clock, procDir: root, ownUser });
  }

  /** Seconds go by, with time in between for what is read. */
  async function seconds(count: number): Promise<void> {
    for (let second = 0; second < count; second += 1) {
      clock.pass(1_000);
      await sleep(20);
    }
  }

  test('is what the process that knows its output and its descendants use, and nobody else', async () => {
    const watch = usage().watch(DRV, [OUT]);
    await runs(10, { env: builder(OUT), cpuTicks: 50, bytes: 4 * MIB });
    await runs(11, { parent: 10, env: ['PATH=/bin'], cpuTicks: 20, bytes: 8 * MIB });
    await runs(12, { parent: 11, cpuTicks: 5, bytes: 16 * MIB });
    await runs(13, { env: builder(OTHER_OUT), cpuTicks: 999, bytes: 999 * MIB });
    await runs(14, { env: [`out=${OUT}`], cpuTicks: 999, bytes: 999 * MIB });
    await seconds(3);
    await Promise.all([10, 11, 12].map(ends));
    await seconds(1);
    const use = watch.stop();
    expect(use.memoryPeakBytes).toBe(28 * MIB);
    expect(use.cpuMs).toBeGreaterThanOrEqual(750);
    expect(use.cpuMs).toBeLessThan(1_000);
  });

  test('remembers the most memory of all at a time, and processor time that went with its process', async () => {
    const watch = usage().watch(DRV, [OUT]);
    await runs(10, { env: builder(OUT), cpuTicks: 100, bytes: 64 * MIB });
    await runs(11, { parent: 10, cpuTicks: 900, bytes: 32 * MIB });
    await seconds(3);
    await ends(11);
    await runs(10, { env: builder(OUT), cpuTicks: 110, bytes: 8 * MIB });
    await seconds(2);
    const use = watch.stop();
    expect(use.memoryPeakBytes).toBe(96 * MIB);
    expect(use.cpuMs).toBeGreaterThanOrEqual(10_000);
  });

  test('counts once what forks share', async () => {
    const watch = usage().watch(DRV, [OUT]);
    await runs(10, { env: builder(OUT), bytes: 512 * MIB, sharedAnonBytes: 400 * MIB });
    await runs(11, { parent: 10, bytes: 512 * MIB, sharedAnonBytes: 400 * MIB });
    await seconds(4);
    expect(watch.stop().memoryPeakBytes).toBe(224 * MIB);
  });

  test('is found by structured attributes', async () => {
    const watch = usage().watch(DRV, [OUT]);
    const env = ['NIX_BUILD_TOP=/build', 'NIX_ATTRS_JSON_FILE=/build/.attrs.json'];
    const attributes = JSON.stringify({ name: 'hello-1.0', outputs: { out: OUT } });
    await runs(10, { env, bytes: MIB, cpuTicks: 7, files: { 'root/build/.attrs.json': attributes } });
    await seconds(2);
    expect(watch.stop().memoryPeakBytes).toBe(MIB);
  });

  test('is found by its name where its outputs are not known before', async () => {
    const watch = usage().watch(DRV, []);
    await runs(10, { env: builder(`/nix/store/${hash('e')}-hello-1.0`), bytes: MIB, cpuTicks: 7 });
    await seconds(2);
    expect(watch.stop().memoryPeakBytes).toBe(MIB);
  });

  test('is told apart by build, and answered the same when asked again', async () => {
    const all = usage();
    const [one, two] = [all.watch(DRV, [OUT]), all.watch(OTHER_DRV, [OTHER_OUT])];
    await runs(10, { env: builder(OUT), bytes: MIB, cpuTicks: 1 });
    await runs(20, { env: builder(OTHER_OUT), bytes: 2 * MIB, cpuTicks: 1 });
    await seconds(2);
    expect(one.stop().memoryPeakBytes).toBe(MIB);
    expect(two.stop().memoryPeakBytes).toBe(2 * MIB);
    await seconds(2);
    expect(two.stop()).toEqual(two.stop());
  });

  test('is nothing for a build that ended before it was looked at, and nothing is looked at then', async () => {
    await runs(10, { env: builder(OUT), bytes: MIB });
    const watch = usage().watch(DRV, [OUT]);
    clock.pass(100);
    expect(watch.stop()).toEqual({});
    await seconds(3);
    expect(watch.stop()).toEqual({});
  });

  test('is nothing where there is no procfs', async () => {
    const elsewhere = new SampledBuildUsage({ clock, procDir: join(root, 'none'), ownUser: 0 });
    const watch = elsewhere.watch(DRV, [OUT]);
    await seconds(3);
    expect(watch.stop()).toEqual({});
  });

  describe.skipIf(!isRoot)('where every build has a user', () => {
    test('includes all processes of that user', async () => {
      const watch = usage(0).watch(DRV, [OUT]);
      await runs(10, { env: builder(OUT), bytes: MIB, cpuTicks: 1, uid: 30_001 });
      await runs(11, { parent: 1, bytes: 2 * MIB, cpuTicks: 1, uid: 30_001 });
      await runs(12, { parent: 10, bytes: 99 * MIB, cpuTicks: 1, uid: 30_002 });
      await seconds(3);
      expect(watch.stop().memoryPeakBytes).toBe(3 * MIB);
    });

    test('a user’s next build is not taken for the one before', async () => {
      const all = usage(0);
      const first = all.watch(DRV, [OUT]);
      const second = all.watch(OTHER_DRV, [OTHER_OUT]);
      await runs(10, { env: builder(OUT), bytes: MIB, cpuTicks: 1, uid: 30_001 });
      await seconds(3);
      await ends(10);
      await runs(11, { env: builder(OTHER_OUT), bytes: 64 * MIB, cpuTicks: 1, uid: 30_001 });
      await seconds(3);
      expect(first.stop().memoryPeakBytes).toBe(MIB);
      expect(second.stop().memoryPeakBytes).toBe(64 * MIB);
    });
  });
});

describe.skipIf(process.platform !== 'linux')('what a real process uses', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  function start(script: string, env: Record<string, string>): Promise<ChildProcess> {
    const child = spawn(process.execPath, ['-e', `${script}; console.log('ready')`], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
      ...(isRoot ? { uid: 30_001, gid: 30_001, cwd: '/' } : {}),
    });
    children.push(child);
    return new Promise((resolve, reject) => {
      child.stdout?.once('data', () => resolve(child));
      child.once('error', reject);
      child.once('exit', () => reject(new Error('it ended early')));
    });
  }

  /** 96 MiB that are really there, 300 ms of processor time, then nothing. */
  const WORK = `
    globalThis.kept = Buffer.alloc(96 * 1024 * 1024, 1);
    while (process.cpuUsage().user < 300_000);
    setInterval(() => {}, 1_000)`;

  test('is measured as the kernel counts it', async () => {
    const usage = new SampledBuildUsage({ clock: systemClock, ownUser: process.getuid?.() ?? 0 });
    const watch: BuildWatch = usage.watch(DRV, [OUT]);
    await start(WORK, { NIX_BUILD_TOP: '/build', out: OUT });
    // Two looks: one that finds it, one that sees it at rest.
    await sleep(2_500);
    const { cpuMs = 0, memoryPeakBytes = 0 } = watch.stop();
    expect(memoryPeakBytes).toBeGreaterThan(96 * MIB);
    expect(memoryPeakBytes).toBeLessThan(200 * MIB);
    expect(cpuMs).toBeGreaterThanOrEqual(250);
  });
});
