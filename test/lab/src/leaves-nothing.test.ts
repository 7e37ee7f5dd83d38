import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cpuQuotaAvailable, Lab, memoryLimitAvailable, requireLab, tracesOf, until } from './index.ts';
import { LineStream } from './line-stream.ts';
import { labDir, loadState, reap } from './state.ts';

const main = join(import.meta.dirname, 'main.ts');

/** Another process that owns a lab of one host, in which something runs, and does nothing against signals. */
async function owner(name: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [main, 'keep', '1', '--name', name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new LineStream(child.stdout!).waitFor(/^up$/);
  const h1 = Lab.attach(name).host('h1');
  await h1.net('delay 1ms');
  if (cpuQuotaAvailable().ok) h1.cpu(0.5);
  if (memoryLimitAvailable().ok) await h1.memory(2 ** 30);
  h1.spawn(['sleep', '100000']);
  await until(
    'the sleep',
    10_000,
    () => h1.processes().some(({ args }) => args[1] === '100000') || undefined,
  );
  return child;
}

const untilNoTraces = (name: string) =>
  until(
    `the end of ${name}: ${tracesOf(name).join(', ')}`,
    20_000,
    () => tracesOf(name).length === 0 || undefined,
  );

describe.skipIf(requireLab())('nothing is left of a lab', () => {
  test('that is taken down', async () => {
    const lab = await Lab.up({ hosts: 2 });
    const h1 = lab.host('h1');
    await h1.net('delay 1ms');
    await h1.exec(['sh', '-c', 'setsid sleep 100000 >/dev/null 2>&1 </dev/null &']);
    const running = lab.host('h2').spawn(['sleep', '100000']);
    await lab.host('h2').freeze();
    expect(tracesOf(lab.name)).not.toEqual([]);
    await lab.down();
    await running.exited;
    expect(tracesOf(lab.name)).toEqual([]);
  });

  test('that a failing test leaves its block of', async () => {
    let name = '';
    const failing = async () => {
      await using lab = await Lab.up({ hosts: 1 });
      name = lab.name;
      throw new Error('the test fails');
    };
    await expect(failing()).rejects.toThrow('the test fails');
    expect(tracesOf(name)).toEqual([]);
  });

  test('that could not come up', async () => {
    const name = 'bad-nix-conf';
    await expect(Lab.up({ hosts: 2, name, nixConf: 'sandbox = maybe' })).rejects.toMatchObject({
      code: 'LAB_START_FAILED',
    });
    expect(tracesOf(name)).toEqual([]);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const)('whose owner ends by %s', async (signal) => {
    const name = `owner-${signal.toLowerCase()}`;
    const child = await owner(name);
    child.kill(signal);
    await once(child, 'exit');
    await untilNoTraces(name);
  });

  test('whose owner is killed while it comes up', async () => {
    const name = 'owner-early';
    const child = spawn(process.execPath, [main, 'keep', '3', '--name', name], { stdio: 'ignore' });
    await until('its folder', 20_000, () => existsSync(join(labDir(name), 'state.json')) || undefined);
    child.kill('SIGKILL');
    await once(child, 'exit');
    reap();
    await untilNoTraces(name);
  });

  test('whose owner and watcher are killed, once the next one looks', async () => {
    const name = 'owner-watcher';
    const child = await owner(name);
    const supervisor = loadState(name)!.supervisor!;
    const parent = (pid: number) =>
      Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    process.kill(parent(parent(supervisor.pid)), 'SIGKILL');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(existsSync(labDir(name))).toBe(true);
    await using next = await Lab.up({ hosts: 1 });
    expect(next.hosts).toHaveLength(1);
    await until(`the end of ${name}`, 20_000, () => {
      reap();
      return tracesOf(name).length === 0 || undefined;
    });
  });

  test('that a command by hand takes down', async () => {
    const name = 'by-hand';
    const lab = (...args: string[]) => {
      const child = spawn(process.execPath, [main, args[0]!, '--name', name, ...args.slice(1)], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [stdout, stderr] = [new LineStream(child.stdout), new LineStream(child.stderr)];
      return once(child, 'close').then(([code]) => ({
        code: code as number,
        out: stdout.text(),
        err: stderr.text(),
      }));
    };
    expect(await lab('up', '2')).toMatchObject({
      code: 0,
      out: expect.stringContaining('by-hand  h2  10.77.0.2'),
    });
    expect(await lab('sh', 'h2', 'sh', '-c', 'hostname; exit 9')).toEqual({ code: 9, out: 'h2\n', err: '' });
    expect((await lab('kill', 'h1')).code).toBe(0);
    expect((await lab('status')).out).toMatch(/by-hand {2}h1 .*down/);
    expect((await lab('boot', 'h1')).code).toBe(0);
    expect((await lab('sh', 'h1', 'hostname')).out).toBe('h1\n');
    expect(await lab('up', '1')).toMatchObject({ code: 1, err: expect.stringContaining('exists') });
    expect(await lab('sh', 'h3', 'true')).toMatchObject({
      code: 1,
      err: expect.stringContaining('only h1, h2'),
    });
    expect(await lab('fly')).toMatchObject({ code: 2, err: expect.stringContaining('usage:') });
    expect((await lab('down')).code).toBe(0);
    expect(tracesOf(name)).toEqual([]);
  });
});
