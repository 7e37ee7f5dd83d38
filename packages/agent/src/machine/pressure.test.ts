import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '@mesh/net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BuildMemoryLimit } from './memory-limit.ts';
import { measureLoad, oomKills } from './pressure.ts';

const MIB = 1024 ** 2;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'mesh-kernel-'));
});
afterEach(() => rm(root, { recursive: true }));

async function kernelSays(files: Record<string, string>): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return join(root, 'proc');
}

describe('the load of a machine', () => {
  test('is what its kernel says of waiting, memory and disk', async () => {
    const procDir = await kernelSays({
      'proc/pressure/cpu':
        'some avg10=12.34 avg60=1.00 avg300=0.10 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
      'proc/pressure/memory':
        'some avg10=3.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=2.00 avg60=0.00 avg300=0.00 total=0\n',
      'proc/meminfo': 'MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   512 kB\n',
    });
    const load = await measureLoad(3, undefined, { procDir, storeDir: root });
    expect(load).toMatchObject({
      running: 3,
      cpuPressure: 12.34,
      memoryPressure: 3.5,
      memoryAvailableBytes: 512 * 1024,
    });
    expect(load.diskAvailableBytes).toBeGreaterThan(0);
  });

  test('leaves out what the kernel does not say, and asks Node for its memory', async () => {
    const load = await measureLoad(0, undefined, {
      procDir: join(root, 'none'),
      storeDir: join(root, 'none'),
    });
    expect(Object.keys(load).sort()).toEqual([
      'diskAvailableBytes',
      'loadAverage',
      'memoryAvailableBytes',
      'running',
    ]);
    expect(load.memoryAvailableBytes).toBeGreaterThan(0);
    expect(load.diskAvailableBytes).toBe(0);
  });

  test('has no more memory than a control group leaves', async () => {
    const procDir = await kernelSays({ 'proc/meminfo': 'MemAvailable: 1024 kB\n' });
    const tight = await measureLoad(
      0,
      { limitBytes: 4_096, availableBytes: 1_000 },
      { procDir, storeDir: root },
    );
    expect(tight.memoryAvailableBytes).toBe(1_000);
    const wide = await measureLoad(0, { limitBytes: 9e9, availableBytes: 8e9 }, { procDir, storeDir: root });
    expect(wide.memoryAvailableBytes).toBe(1024 * 1024);
  });

  test('processes killed for want of memory are counted where the kernel counts them', async () => {
    const procDir = await kernelSays({ 'proc/vmstat': 'pgfault 12\noom_kill 7\ndrop_pagecache 0\n' });
    expect(await oomKills({ procDir })).toBe(7);
    expect(await oomKills({ procDir: join(root, 'none') })).toBeUndefined();
  });
});

describe('the memory limit of builds', () => {
  const limit = (procDir: string) => new BuildMemoryLimit({ clock: systemClock, procDir }).read();
  const mountedAt = (path: string, group = '/') =>
    `30 23 0:26 ${group} ${join(root, path)} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n`;
  const group = (path: string, max: string, current: number, cache = 0) => ({
    [`${path}/memory.max`]: `${max}\n`,
    [`${path}/memory.current`]: `${current}\n`,
    [`${path}/memory.stat`]: `anon 1\ninactive_file ${cache}\n`,
  });

  test('is the tightest of the groups nix-daemon is in, page cache not counted as used', async () => {
    const procDir = await kernelSays({
      'proc/self/mountinfo': mountedAt('cg'),
      'proc/self/cgroup': '0::/mesh.service\n',
      'proc/42/comm': 'nix-daemon\n',
      'proc/42/cgroup': '0::/system.slice/nix-daemon.service\n',
      ...group('cg/system.slice/nix-daemon.service', String(1000 * MIB), 400 * MIB, 150 * MIB),
      ...group('cg/system.slice', 'max', 500 * MIB),
      ...group('cg/mesh.service', String(64 * MIB), 60 * MIB),
    });
    expect(await limit(procDir)).toEqual({ limitBytes: 1000 * MIB, availableBytes: 750 * MIB });
  });

  test('is that of our own groups where no daemon is to be seen', async () => {
    const procDir = await kernelSays({
      'proc/self/mountinfo': mountedAt('cg'),
      'proc/self/cgroup': '0::/a/b\n',
      'proc/42/comm': 'bash\n',
      ...group('cg/a', String(100 * MIB), 90 * MIB),
      ...group('cg/a/b', String(200 * MIB), 50 * MIB),
    });
    expect(await limit(procDir)).toEqual({ limitBytes: 100 * MIB, availableBytes: 10 * MIB });
  });

  test('of version 1, and of a container that sees its group by a name from outside', async () => {
    const procDir = await kernelSays({
      'proc/self/mountinfo': `35 31 0:32 /docker/abc ${join(root, 'v1')} rw - cgroup cgroup rw,memory\n`,
      'proc/self/cgroup': '5:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n',
      'v1/memory.limit_in_bytes': `${500 * MIB}\n`,
      'v1/memory.usage_in_bytes': `${600 * MIB}\n`,
      'v1/memory.stat': `inactive_file 1\ntotal_inactive_file ${200 * MIB}\n`,
    });
    expect(await limit(procDir)).toEqual({ limitBytes: 500 * MIB, availableBytes: 100 * MIB });
  });

  test('is none without limits, groups or procfs', async () => {
    const procDir = await kernelSays({
      'proc/self/mountinfo': mountedAt('cg'),
      'proc/self/cgroup': '0::/a\n',
      ...group('cg/a', 'max', 5),
    });
    expect(await limit(procDir)).toBeUndefined();
    expect(await limit(join(root, 'none'))).toBeUndefined();
  });
});
